/* What nsinit-shell reads inside the container: the note of the shell, and a command that may ask for sftp.
 */
#include "fuzz.h"

#include "../../libcore/parse/login_shell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), path[64], *words[4];
	const char *rest = text;

	while (nsi_next_shell(&rest, path, sizeof(path)))
		fuzz_check(path[0] == '/' && !strchr(path, '\n') && rest <= text + strlen(text));
	if (nsi_sftp_words(text, words, 4)) {
		size_t n = 0;

		while (words[n])
			n++;
		fuzz_check(n > 0 && n < 4 && strpbrk(words[0], " ;|&$`'\"\\\n") == NULL);
	}
	free(text);
	return 0;
}
