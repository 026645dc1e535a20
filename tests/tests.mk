UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test-*.c))

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $^ -lcmocka $(LIBS) -o $@

unit: $(UNIT:%=$(BUILD)/unit/%)
	@for t in $^; do ./$$t || exit 1; done

asan:
	$(MAKE) BUILD=build/asan CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" unit

check:
	tests/run

check-machine:
	tests/machine/run

# Races and long runs: about half an hour. Its parameters are in the script.
check-soak:
	tests/soak/run

# Every fault of every scenario: hours. See tests/faults/README.md.
check-faults:
	NSINIT_FAULTS=all tests/host/enter python3 tests/live/run.py --faults

lint: all
	tests/lint/rooms $(BUILD)
	tests/lint/hardening $(BUILD)
	tests/lint/manual $(BUILD)
	tests/lint/static $(BUILD)

.PHONY: unit asan check check-machine check-soak check-faults lint
.SECONDARY:

# make fuzz: explore with libFuzzer (clang), each target in turn, FUZZ_RUNS inputs; FUZZ="spec words" for some
# targets. make replay: the corpus alone, under the sanitizers.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZ_RUNS ?= 1000000
FUZZ_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
# For libconfig's leak (lsan.supp) each input would take a search of the memory: the replay alone looks for leaks.
FUZZ_FLAGS_policy := -detect_leaks=0
FUZZ_LEN := 4096
FUZZ_LEN_server := 512
FUZZ_LEN_words := 96
FUZZ_LEN_inside := 256
FUZZ_LEN_control := 1024
FUZZ_LEN_state := 2048
FUZZ_LEN_kernel := 1024
FUZZ_SEEDS_spec := tests/data/valid tests/data/invalid
# The supervisor's part that talks; the clock and the terminals are the target's.
FUZZ_SRC_server := $(addprefix nsinit/supervise/,server.c server_life.c server_answer.c) $(addprefix nsinit/container/,container.c filter.c network.c rootless.c)
FUZZ_LINK_server := -Wl,--wrap=clock_gettime -Wl,--wrap=nsi_borrow_terminals

$(BUILD)/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)clang -std=gnu11 $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(DEFS) $(shell $(PKG_CONFIG) --cflags $(LIBS_CORE)) -MMD -MP -c $< -o $@

$(BUILD)/fuzz/libcore.a: $(CORE_SRC:%.c=$(BUILD)/fuzz/obj/%.o)
	$(call say,AR  )
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# fuzz_objects DIRECTORY TARGET
fuzz_objects = $(patsubst %.c,$(1)/%.o,tests/fuzz/$(2).c $(FUZZ_SRC_$(2)))

.SECONDEXPANSION:
$(FUZZ:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $$(call fuzz_objects,$(BUILD)/fuzz/obj,$$*) $(BUILD)/fuzz/libcore.a
	$(call say,LINK)
	$(Q)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $(FUZZ_LINK_$*) $^ $(LIBS) -o $@

fuzz: $(FUZZ:%=fuzz-%)

$(FUZZ:%=fuzz-%): fuzz-%: $(BUILD)/fuzz/%
	@mkdir -p $(BUILD)/fuzz/corpus-$*
	LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0 $< -runs=$(FUZZ_RUNS) -max_len=$(or $(FUZZ_LEN_$*),$(FUZZ_LEN)) -timeout=10 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/fuzz/$*- $(FUZZ_FLAGS_$*) $(addprefix -dict=,$(wildcard tests/fuzz/$*.dict)) \
		$(BUILD)/fuzz/corpus-$* tests/fuzz/corpus/$* $(FUZZ_SEEDS_$*)

$(FUZZ:%=$(BUILD)/replay/%): $(BUILD)/replay/%: $$(call fuzz_objects,$(BUILD)/obj,$$*) $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $(FUZZ_LINK_$*) $^ $(LIBS) -o $@

replay-all: $(FUZZ:%=$(BUILD)/replay/%)
	@export LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0; for t in $(FUZZ); do \
		echo "$$t: $$($(BUILD)/replay/$$t tests/fuzz/corpus/$$t/*)" || exit 1; done

replay:
	$(MAKE) BUILD=build/asan CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" replay-all

.PHONY: fuzz replay replay-all $(FUZZ:%=fuzz-%)
