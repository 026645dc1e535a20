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

lint: all
	tests/lint/rooms $(BUILD)
	tests/lint/hardening $(BUILD)
	tests/lint/manual $(BUILD)

.PHONY: unit asan check check-machine check-soak lint
.SECONDARY:

# make fuzz: explore with libFuzzer (clang), each target in turn, FUZZ_RUNS inputs. make replay: the corpus alone.
FUZZ := spec policy accounts control profile
FUZZ_RUNS ?= 1000000
# libconfig itself leaks the piece of a string that a syntax error follows.
FUZZ_FLAGS_policy := -detect_leaks=0

$(BUILD)/fuzz/%: tests/fuzz/%.c tests/fuzz/fuzz.h $(CORE_SRC) $(wildcard libcore/*/*.h)
	@mkdir -p $(@D)
	$(Q)clang -std=gnu11 -O1 -g $(DEFS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(shell $(PKG_CONFIG) --cflags $(LIBS_CORE)) $< $(CORE_SRC) $(LIBS) -o $@

fuzz: $(FUZZ:%=$(BUILD)/fuzz/%.done)

$(FUZZ:%=$(BUILD)/fuzz/%.done): $(BUILD)/fuzz/%.done: $(BUILD)/fuzz/%
	@mkdir -p $(BUILD)/fuzz/corpus-$*
	$< -runs=$(FUZZ_RUNS) -max_len=4096 -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/ $(FUZZ_FLAGS_$*) \
		-dict=tests/fuzz/container.dict $(BUILD)/fuzz/corpus-$* tests/fuzz/corpus/$*
	@touch $@

$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $^ $(LIBS) -o $@

replay-all: $(FUZZ:%=$(BUILD)/replay/%)
	@for t in $(FUZZ); do echo "$$t: $$($(BUILD)/replay/$$t tests/fuzz/corpus/$$t/*)" || exit 1; done

replay:
	$(MAKE) BUILD=build/asan CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" replay-all

.PHONY: fuzz replay replay-all
