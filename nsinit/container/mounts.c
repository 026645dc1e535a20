#include "mounts.h"

#include "../../libcore/base/compat.h"
#include "../../libcore/parse/resources.h"
#include "../console/show.h"

#include <stdio.h>

void print_mount(const struct nsi_mount *m)
{
	static const char *const types[] = {"bind", "tmpfs", "proc", "sysfs", "overlay", "mqueue"};

	printf("mount:        ");
	print_text(m->target);
	printf(" %s", types[m->type]);
	if (m->source[0])
		printf(" of ");
	print_text(m->source);
	if (m->lower[0]) {
		printf(" of");
		print_words(m->lower);
	}
	if (m->upper[0])
		printf(", changes in ");
	print_text(m->upper);
	printf(" (%s%s%s%s", m->attributes & MOUNT_ATTR_RDONLY ? "read-only" : "writable",
		m->attributes & MOUNT_ATTR_NOSUID ? ",nosuid" : "",
		m->attributes & MOUNT_ATTR_NODEV ? ",nodev" : "",
		m->attributes & MOUNT_ATTR_NOEXEC ? ",noexec" : "");
	printf("%s%s%s%s%s%s)\n", m->options[0] ? "," : "", m->options, m->recursive ? ",recursive" : "",
		m->slave ? ",slave" : "", m->idmap ? ",idmap" : "", m->optional ? ",optional" : "");
}
