#include "oci_json.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static int bad(const char *shown, const char *what, struct nsi_error *err)
{
	return nsi_failf(err, EINVAL, "reading", shown, "is it an OCI image layout?", "%s", what);
}

static const char *text_of(json_object *object, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
		return NULL;
	const char *text = json_object_get_string(value);
	/* A NUL in it would end it early. */
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

static json_object *list_of(json_object *object, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_array)
		       ? value
		       : NULL;
}

static json_object *object_of(json_object *object, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_object)
		       ? value
		       : NULL;
}

/* It becomes a name of a file. */
static bool take_digest(json_object *descriptor, char digest[OCI_DIGEST])
{
	static const char kind[] = "sha256:";
	const char *text =
		json_object_is_type(descriptor, json_type_object) ? text_of(descriptor, "digest") : NULL;

	if (!text || strncmp(text, kind, strlen(kind)) != 0)
		return false;
	text += strlen(kind);
	if (strlen(text) != OCI_DIGEST - 1 || strspn(text, "0123456789abcdef") != OCI_DIGEST - 1)
		return false;
	memcpy(digest, text, OCI_DIGEST);
	return true;
}

/* ------------------------------------------------------------------ index */

static const char *architecture(void)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"},
		{"i686", "386"}, {"riscv64", "riscv64"}, {"ppc64le", "ppc64le"}, {"s390x", "s390x"}};
	static struct utsname name;

	uname(&name);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name.machine, names[i][0]) == 0)
			return names[i][1];
	return name.machine;
}

static bool fits_machine(json_object *descriptor)
{
	json_object *platform = object_of(descriptor, "platform");
	const char *arch = platform ? text_of(platform, "architecture") : NULL;
	const char *os = platform ? text_of(platform, "os") : NULL;

	return (!arch || strcmp(arch, architecture()) == 0) && (!os || strcmp(os, "linux") == 0);
}

static const char *tag_of(json_object *descriptor)
{
	json_object *annotations = object_of(descriptor, "annotations");

	return annotations ? text_of(annotations, "org.opencontainers.image.ref.name") : NULL;
}

static json_object *choose(json_object *list, const char *tag, int *ret_n, char tags[OCI_TAG])
{
	json_object *found = NULL;
	size_t used = 0;

	*ret_n = 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *one = json_object_array_get_idx(list, i);
		const char *is = json_object_is_type(one, json_type_object) ? tag_of(one) : NULL;

		if (is && used + strlen(is) + 2 < OCI_TAG)
			used += (size_t)snprintf(tags + used, OCI_TAG - used, " %s", is);
		if (!json_object_is_type(one, json_type_object) || (tag && (!is || strcmp(is, tag) != 0)) ||
			!fits_machine(one))
			continue;
		found = one;
		++*ret_n;
	}
	return found;
}

static int read_index(json_object *index, const char *shown, const char *tag, char digest[OCI_DIGEST],
	bool *ret_index, struct nsi_error *err)
{
	json_object *list = list_of(index, "manifests");
	char tags[OCI_TAG] = "";
	int n;

	if (!list)
		return bad(shown, "it has no list \"manifests\"", err);
	json_object *found = choose(list, tag, &n, tags);
	if (n != 1)
		return nsi_failf(err, n ? EEXIST : ENOENT, "choosing from", shown, "name one: --oci DIR:TAG",
			"it has %s image of that name for linux/%s; tags:%s", n ? "more than one" : "no",
			architecture(), tags[0] ? tags : " none");
	if (!take_digest(found, digest))
		return bad(shown, "a \"digest\" is not of the form sha256:HEX", err);
	const char *media = text_of(found, "mediaType");
	*ret_index = media && (strstr(media, "image.index") || strstr(media, "manifest.list"));
	return 0;
}

int oci_read_index(const char *text, const char *shown, const char *tag, char digest[OCI_DIGEST],
	bool *ret_index, struct nsi_error *err)
{
	json_object *index = json_tokener_parse(text);
	int r = json_object_is_type(index, json_type_object)
			? read_index(index, shown, tag, digest, ret_index, err)
			: bad(shown, "it is no JSON object", err);

	json_object_put(index);
	return r;
}

/* ------------------------------------------------------------------ manifest */

static int read_manifest(
	json_object *manifest, const char *shown, struct oci_manifest *ret, struct nsi_error *err)
{
	json_object *config = object_of(manifest, "config"), *layers = list_of(manifest, "layers");

	if (!config || !take_digest(config, ret->config))
		return bad(shown, "its \"config\" has no digest of the form sha256:HEX", err);
	if (!layers || json_object_array_length(layers) > OCI_MAX_LAYERS)
		return bad(shown, "it has no list \"layers\", or one that is too long", err);
	ret->n_layers = (int)json_object_array_length(layers);
	for (int i = 0; i < ret->n_layers; i++)
		if (!take_digest(json_object_array_get_idx(layers, (size_t)i), ret->layers[i]))
			return bad(shown, "a layer has no digest of the form sha256:HEX", err);
	return 0;
}

int oci_read_manifest(const char *text, const char *shown, struct oci_manifest *ret, struct nsi_error *err)
{
	json_object *manifest = json_tokener_parse(text);
	int r = json_object_is_type(manifest, json_type_object) ? read_manifest(manifest, shown, ret, err)
								: bad(shown, "it is no JSON object", err);

	json_object_put(manifest);
	return r;
}

/* ------------------------------------------------------------------ container.json */

static void take_config(json_object *container, json_object *image)
{
	json_object *config = object_of(image, "config"), *env = config ? list_of(config, "Env") : NULL;
	const char *dir = config ? text_of(config, "WorkingDir") : NULL,
		   *user = config ? text_of(config, "User") : NULL;

	if (env && json_object_array_length(env) > 0)
		json_object_object_add(container, "environment", json_object_get(env));
	if (dir && dir[0] == '/')
		json_object_object_add(container, "working_dir", json_object_new_string(dir));
	if (user && user[0])
		json_object_object_add(container, "user", json_object_new_string(user));
}

char *oci_make_container(const char *config, const char *hostname)
{
	static const char *const namespaces[] = {"NEWNS", "NEWPID", "NEWIPC", "NEWUTS", "NEWNET"};
	json_object *container = json_object_new_object(), *list = json_object_new_array();
	json_object *image = config ? json_tokener_parse(config) : NULL, *env = json_object_new_array();
	char *text = NULL;

	json_object_array_add(env,
		json_object_new_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	if (hostname[0])
		json_object_object_add(container, "hostname", json_object_new_string(hostname));
	json_object_object_add(container, "environment", env);
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
		json_object_array_add(list, json_object_new_string(namespaces[i]));
	json_object_object_add(container, "namespaces", list);
	if (json_object_is_type(image, json_type_object))
		take_config(container, image);
	if (!config || json_object_is_type(image, json_type_object))
		text = strdup(json_object_to_json_string_ext(container,
			JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(image);
	json_object_put(container);
	return text;
}
