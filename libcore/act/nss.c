#include "nss.h"

#include <locale.h>
#include <nss.h>

int nsi_pin_names(struct nsi_error *err)
{
	static const char *const databases[] = {"aliases", "ethers", "group", "gshadow", "hosts",
		"initgroups", "netgroup", "networks", "passwd", "protocols", "publickey", "rpc", "services",
		"shadow"};

	for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++)
		if (__nss_configure_lookup(databases[i], "files") < 0)
			return nsi_fail(err, errno, "pinning the name service", databases[i], NULL);
	setlocale(LC_ALL, "C");
	return 0;
}
