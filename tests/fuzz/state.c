/* Files of /run/nsinit, were they not root's: the state record of a container, and `disabled`. */
#include "fuzz.h"

#include "../../libcore/parse/disabled.h"
#include "../../libcore/whole/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char boot[NSI_BOOT_ID_SIZE] = "0b0ac3a9-4f0a-4a5a-8b9b-0123456789ab";
	struct nsi_state *state = malloc(sizeof(*state));
	char *text = fuzz_text(data, size);
	unsigned long long until;

	fuzz_check(state != NULL);
	/* As nsi_state_read(): no more than there is room for. */
	memcpy(state, data, size < sizeof(*state) ? size : sizeof(*state));
	if (nsi_state_accept(state, size, boot))
		fuzz_check(size == sizeof(*state) && strlen(state->rootfs) < sizeof(state->rootfs) &&
			   strlen(state->user) < sizeof(state->user) &&
			   strlen(state->cgroup) < sizeof(state->cgroup));
	if (nsi_disabled_until(text, boot, &until))
		fuzz_check(until > 0);
	free(text);
	free(state);
	return 0;
}
