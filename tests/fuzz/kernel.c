/* Texts of /proc and of cgroup files. The first line is the name that is looked for. */
#include "fuzz.h"

#include "../../libcore/parse/idmaps.h"
#include "../../libcore/parse/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *word = fuzz_text(data, size), *text = fuzz_cut(word, '\n'), group[32], interface[16];
	unsigned long long n;
	unsigned share;
	uint64_t ticks;
	struct nsi_idmap map;
	char state;
	pid_t pid;

	if (text) {
		const char *rest = text;

		nsi_stat_start_time(text, &ticks);
		nsi_stat_number(text, 24, &n);
		if (nsi_stat_name(text, interface, sizeof(interface), &state))
			fuzz_check(strlen(interface) < sizeof(interface) && state);
		nsi_status_number(text, word, 3, &n);
		for (const char *maps = text; nsi_next_idmap(&maps, &map);)
			fuzz_check(maps <= text + strlen(text));
		if (nsi_fdinfo_pid(text, &pid))
			fuzz_check(pid > 0);
		if (nsi_cgroup_line(text, group, sizeof(group)))
			fuzz_check(group[0] == '/' && !strchr(group, '\n') && strlen(group) < sizeof(group));
		if (nsi_is_default_route(text, interface))
			fuzz_check(interface[0] && !strchr(interface, '/') && strcmp(interface, "..") != 0);
		nsi_counter(text, word, &n);
		nsi_io_sum(text, word);
		if (nsi_pressure(text, &share))
			fuzz_check(share <= 10099);
		nsi_has_word(text, word);
		while (nsi_next_pid(&rest, &pid))
			fuzz_check(pid > 1 && rest <= text + strlen(text));
	}
	free(word);
	return 0;
}
