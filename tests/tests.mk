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

lint: all
	tests/lint/rooms $(BUILD)
	tests/lint/hardening $(BUILD)

.PHONY: unit asan check check-machine lint
.SECONDARY:
