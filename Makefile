# nsinit: logins that land in containers.
#
#   make                      build everything under build/
#   make check                all tests (root; see README.md)
#   make MUSL=musl-gcc        with musl for pid 1 and what starts nsinit: small ones
#   make install DESTDIR= PREFIX=/usr
#   make asan                 the unit tests under address and undefined-behaviour sanitizers
#   make format / make lint

PREFIX     ?= /usr
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec/nsinit
UNITDIR    ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
MANDIR     ?= $(PREFIX)/share/man
MULTIARCH  := $(shell $(CC) -print-multiarch 2>/dev/null)
PAMDIR     ?= /lib/$(MULTIARCH)/security
VERSION    := 0.1
BUILD      ?= build
PKG_CONFIG ?= pkg-config

LIBS_CORE := libconfig json-c libcap libmnl libseccomp
ifneq ($(filter-out clean format,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell $(PKG_CONFIG) --exists $(LIBS_CORE) && echo yes),yes)
$(error missing libraries: apt install pkg-config libpam0g-dev libconfig-dev libjson-c-dev libcap-dev libmnl-dev libseccomp-dev)
endif
endif

WARN := -Wall -Wextra -Werror -Wformat=2 -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings
# Not -ftrivial-auto-var-init=zero: gcc 12 takes the first bytes of an array of structures within structures for padding,
# and clears them behind an initializer that has set them (the policy's first bridge lost its name).
WANTED := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fno-strict-aliasing -fvisibility=hidden -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
# Of these, what a compiler knows.
hardening = $(shell for f in $(WANTED); do $(1) -Werror -O2 $$f -c -x c /dev/null -o /dev/null 2>/dev/null && echo $$f; done)
HARDEN := $(call hardening,$(CC))
DEFS := -D_GNU_SOURCE -DNSINIT_VERSION='"$(VERSION)"' -DNSINIT_START='"$(BINDIR)/nsinit"' -DNSINIT_PROGRAM='"$(LIBEXECDIR)/nsinit"' \
	-DNSINIT_ENTER='"$(LIBEXECDIR)/nsinit-enter"' -DNSINIT_INIT='"$(LIBEXECDIR)/nsinit-init"' -DNSINIT_SHELL='"$(BINDIR)/nsinit-shell"' -DNSINIT_POLICY='"$(SYSCONFDIR)/nsinit/nsinit.conf"' \
	-DNSINIT_PAMDIR='"$(PAMDIR)"'
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(HARDEN) $(DEFS) $(shell $(PKG_CONFIG) --cflags $(LIBS_CORE)) $(CFLAGS)
LINK := -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,--as-needed -Wl,--build-id
LIBS := $(shell $(PKG_CONFIG) --libs $(LIBS_CORE))

CORE_SRC := $(wildcard libcore/*/*.c)
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/obj/%.o)
NSINIT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard nsinit/*.c nsinit/*/*.c))
PAM_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard pam_nsinit/*.c))
SHELL_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard nsinit-shell/*.c))
PROGRAMS := $(BUILD)/bin/nsinit $(BUILD)/bin/nsinit-enter $(BUILD)/bin/nsinit-start $(BUILD)/bin/nsinit-init $(BUILD)/bin/nsinit-shell $(BUILD)/bin/nsinitd $(BUILD)/bin/pam_nsinit.so

# V=1 shows the commands.
ifneq ($(V),1)
Q := @
endif
say = @echo '  $(1) $@'

all: $(PROGRAMS)

OBJ_CC = $(CC)
# Position-independent throughout: the library goes into a shared object and into PIE programs.
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(OBJ_CC) $(ALL_CFLAGS) -fPIC -MMD -MP -c $< -o $@

$(BUILD)/libcore.a: $(CORE_OBJ)
	$(call say,AR  )
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/bin/nsinit: $(NSINIT_OBJ) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $^ $(LIBS) -o $@

ENTER_OBJ := $(patsubst %,$(BUILD)/obj/%.o,nsinit-enter/main nsinit/sealed nsinit/console/report nsinit/container/image nsinit/exec/cmd_exec nsinit/exec/front)
$(BUILD)/bin/nsinit-enter: $(ENTER_OBJ) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) -Wl,--gc-sections $^ $(LIBS) -o $@

$(BUILD)/bin/nsinitd: $(BUILD)/obj/nsinitd/main.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -pie $(LINK) $^ $(LIBS) -o $@

$(BUILD)/bin/pam_nsinit.so: $(PAM_OBJ) $(BUILD)/libcore.a pam_nsinit/pam_nsinit.map
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -shared $(LINK) -Wl,--version-script=pam_nsinit/pam_nsinit.map $(filter %.o %.a,$^) -lpam $(LIBS) -o $@

# Small static programs. MUSL=musl-gcc (package musl-tools) links them with musl: they start in a third of the time, and take
# 18 KB where they take 700 (docs/performance.md). That wrapper of gcc does not know static-pie; musl's start files do.
MUSL ?=
ifeq ($(MUSL),)
SMALL_CC := $(CC)
SMALL_LINK := -static-pie
else
MUSL_CRT := $(dir $(wildcard $(patsubst %crti.o,%rcrt1.o,$(filter %/crti.o,$(shell $(MUSL) -\#\#\# -x none x.o 2>&1)))))
ifneq ($(filter-out clean format,$(or $(MAKECMDGOALS),all)),)
ifeq ($(MUSL_CRT),)
$(error MUSL=$(MUSL): there is no such compiler, or no rcrt1.o of musl: apt install musl-tools)
endif
endif
SMALL_CC := $(MUSL)
SMALL_LINK := -static -nostartfiles -Wl,-pie,--no-dynamic-linker $(addprefix $(MUSL_CRT),rcrt1.o crti.o crtn.o)
endif
SMALL_CFLAGS = $(filter-out -fsanitize=%,$(CFLAGS))
SMALL_HARDEN := $(call hardening,$(SMALL_CC))
# Objects of the one library are not linked with the other. Made here: with .SECONDARY no rule is asked for what is missing.
SMALL_MADE := $(BUILD)/small-by-$(notdir $(firstword $(SMALL_CC)))
ifneq ($(filter-out clean format,$(or $(MAKECMDGOALS),all)),)
$(if $(wildcard $(SMALL_MADE)),,$(shell mkdir -p $(BUILD) && rm -f $(BUILD)/small-by-* && touch $(SMALL_MADE)))
endif

$(BUILD)/obj/nsinit-init/main.o $(BUILD)/obj/nsinit-start/main.o: $(SMALL_MADE)
$(BUILD)/obj/nsinit-init/%.o $(BUILD)/obj/nsinit-start/%.o: ALL_CFLAGS = -std=gnu11 $(WARN) $(SMALL_HARDEN) $(DEFS) $(SMALL_CFLAGS)
$(BUILD)/obj/nsinit-init/%.o $(BUILD)/obj/nsinit-start/%.o: OBJ_CC = $(SMALL_CC)

# nsinit-init runs inside containers of any kind: no library of theirs.
$(BUILD)/bin/nsinit-init $(BUILD)/bin/nsinit-start: $(BUILD)/bin/%: $(BUILD)/obj/%/main.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(SMALL_CC) $(SMALL_CFLAGS) $(SMALL_LINK) -s -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections $< -o $@

# No shared library: a variable of the caller's environment (LD_PRELOAD) would run code on the host.
$(BUILD)/bin/nsinit-shell: $(SHELL_OBJ) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -static-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections $^ $(shell $(PKG_CONFIG) --libs libcap) -o $@

# For tools that want to read the code as it is compiled; quoted for a shell.
flags:
	$(info $(ALL_CFLAGS))
	@:

# nsinit is copied into memory whenever it is to enter a container: without symbols that is 0.5 MB instead of 2.4.
STRIP ?= -s
install: all
	install -D -m 0755 $(BUILD)/bin/nsinit-start $(DESTDIR)$(BINDIR)/nsinit
	install -D -m 0755 $(STRIP) $(BUILD)/bin/nsinit $(DESTDIR)$(LIBEXECDIR)/nsinit
	install -D -m 0755 $(STRIP) $(BUILD)/bin/nsinit-enter $(DESTDIR)$(LIBEXECDIR)/nsinit-enter
	install -D -m 0755 $(BUILD)/bin/nsinit-init $(DESTDIR)$(LIBEXECDIR)/nsinit-init
	install -D -m 0755 $(BUILD)/bin/nsinitd $(DESTDIR)$(SBINDIR)/nsinitd
	install -D -m 0755 $(BUILD)/bin/nsinit-shell $(DESTDIR)$(BINDIR)/nsinit-shell
	install -D -m 0644 $(BUILD)/bin/pam_nsinit.so $(DESTDIR)$(PAMDIR)/pam_nsinit.so
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/nsinit
	install -D -m 0644 etc/systemd/nsinitd.socket $(DESTDIR)$(UNITDIR)/nsinitd.socket
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/doc/nsinit
	sed 's|/usr/sbin/nsinitd|$(SBINDIR)/nsinitd|' etc/systemd/nsinitd.service >$(DESTDIR)$(UNITDIR)/nsinitd.service
	sed 's|/usr/bin/nsinit-shell|$(BINDIR)/nsinit-shell|' etc/sshd_config.d/nsinit.conf >$(DESTDIR)$(PREFIX)/share/doc/nsinit/sshd.conf
	install -D -m 0644 etc/tmpfiles.d/nsinit.conf $(DESTDIR)$(TMPFILESDIR)/nsinit.conf
	install -D -m 0644 etc/nsinit.conf.example $(DESTDIR)$(PREFIX)/share/doc/nsinit/nsinit.conf.example
	install -D -m 0644 etc/container.json $(DESTDIR)$(PREFIX)/share/doc/nsinit/container.json
	install -D -m 0644 etc/container.schema.json $(DESTDIR)$(PREFIX)/share/nsinit/container.schema.json
	install -D -m 0644 etc/bash-completion/nsinit $(DESTDIR)$(PREFIX)/share/bash-completion/completions/nsinit
	install -D -m 0644 README.md $(DESTDIR)$(PREFIX)/share/doc/nsinit/README.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/nsinit docs/*.md SECURITY.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/nsinit/bench docs/bench/*.svg docs/bench/table.md
	install -d -m 0755 $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8
	install -m 0644 man/*.1 $(DESTDIR)$(MANDIR)/man1
	install -m 0644 man/*.5 $(DESTDIR)$(MANDIR)/man5
	install -m 0644 man/*.7 $(DESTDIR)$(MANDIR)/man7
	install -m 0644 man/*.8 $(DESTDIR)$(MANDIR)/man8

include tests/tests.mk

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj $(BUILD)/fuzz/obj -type f -name '*.d' 2>/dev/null)
.PHONY: all flags install format clean
