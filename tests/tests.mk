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
	tests/lint/reasons
	tests/lint/static $(BUILD)

.PHONY: unit asan check check-machine check-soak check-faults lint
.SECONDARY:

# tests/fuzz/README.md says how these are used.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZ_RUNS ?= 1000000
FUZZ_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
# What is freed is kept for the length of some executions, not for 256 MB of them, and of who has allocated it only the
# least is noted without which no leak is seen: twice as many executions. To run one input again without these options shows
# all that they leave out.
FUZZ_ENV := ASAN_OPTIONS=quarantine_size_mb=2:malloc_context_size=2 LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0
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
# The users and groups are the target's.
FUZZ_LINK_policy := -Wl,--wrap=getpwnam_r -Wl,--wrap=getpwuid_r -Wl,--wrap=getgrnam_r -Wl,--wrap=getgrouplist
FUZZ_LINK_profile := -Wl,--wrap=seccomp_init -Wl,--wrap=seccomp_release
# The supervisor's part that talks; the clock, the terminals and what is inside are the target's.
FUZZ_SRC_server := $(addprefix nsinit/supervise/,server.c server_life.c server_answer.c groups.c watch.c) $(addprefix nsinit/container/,container.c filter.c image.c network.c rootless.c)
FUZZ_LINK_server := -Wl,--wrap=clock_gettime -Wl,--wrap=nsi_borrow_terminals -Wl,--wrap=nsi_cgroup_freeze -Wl,--wrap=container_signal

$(BUILD)/fuzz/obj/%.o: %.c Makefile tests/tests.mk
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
	$(FUZZ_ENV) $< -runs=$(FUZZ_RUNS) -max_len=$(or $(FUZZ_LEN_$*),$(FUZZ_LEN)) -timeout=10 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/fuzz/$*- $(FUZZ_FLAGS_$*) $(addprefix -dict=,$(wildcard tests/fuzz/$*.dict)) \
		$(BUILD)/fuzz/corpus-$* tests/fuzz/corpus/$* $(FUZZ_SEEDS_$*)

$(FUZZ:%=$(BUILD)/replay/%): $(BUILD)/replay/%: $$(call fuzz_objects,$(BUILD)/obj,$$*) $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $(FUZZ_LINK_$*) $^ $(LIBS) -o $@

replay_one = echo "$(1): $$($(BUILD)/replay/$(1) tests/fuzz/corpus/$(1)/* $(patsubst %,%/*,$(FUZZ_SEEDS_$(1))))" || exit 1

replay-all: $(FUZZ:%=$(BUILD)/replay/%)
	@export LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0; $(foreach t,$(FUZZ),$(call replay_one,$(t));)

replay:
	$(MAKE) BUILD=build/asan CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" replay-all

# What of the code the corpora reach.
FUZZ_COVERED := libcore/parse libcore/decide libcore/base/str.c libcore/base/error.c nsinit/supervise/server libcore/act/request.c \
	libcore/act/loop.c libcore/act/seccomp_profile.c
fuzz-coverage:
	rm -f build/coverage/*.profraw
	LLVM_PROFILE_FILE=$(CURDIR)/build/coverage/%p-%m.profraw $(MAKE) BUILD=build/coverage CC=clang \
		CFLAGS="-O1 -g -fprofile-instr-generate -fcoverage-mapping" replay-all
	llvm-profdata merge -o build/coverage/profdata build/coverage/*.profraw
	llvm-cov report build/coverage/replay/$(firstword $(FUZZ)) $(patsubst %,-object build/coverage/replay/%,$(FUZZ)) \
		-instr-profile build/coverage/profdata $(wildcard $(FUZZ_COVERED:%=%*))

.PHONY: fuzz fuzz-coverage replay replay-all $(FUZZ:%=fuzz-%)

# make bench: measured beside the peers that are installed, on the throw-away host. BENCH="--quick spawn" does less.
BENCH_PROGRAMS := $(addprefix $(BUILD)/bench/,floor pace login sink)
BENCH_LINK_floor := -static
BENCH_LINK_login := -lpam
BENCH_LINK_sink := -lutil

$(BUILD)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) $< $(BENCH_LINK_$*) -o $@

bench-programs: $(BENCH_PROGRAMS)

bench: all bench-programs
	tests/host/deps bench
	@mkdir -p docs/bench
	tests/host/enter python3 tests/bench/bench.py $(BENCH)

.PHONY: bench bench-programs

# make check-perf: counts against tests/perf/baseline.json. PERF=--record writes it.
$(BUILD)/perf/count: tests/perf/count.c
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) $< -o $@

check-perf: all bench-programs $(BUILD)/perf/count
	CC="$(CC)" tests/host/enter python3 tests/perf/run.py $(PERF)

.PHONY: check-perf
