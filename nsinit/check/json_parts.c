/* nsinit check --json: what the whole and its parts are made of. */
#include "json.h"

#include <stdio.h>

_Noreturn static void out_of_memory(void)
{
	fputs("nsinit: writing the report: Cannot allocate memory\n", stderr);
	exit(NSI_EXIT_FAILED);
}

void *json_made(const void *made)
{
	if (!made)
		out_of_memory();
	return (void *)(uintptr_t)made;
}

json_object *json_new_object(void)
{
	return json_made(json_object_new_object());
}

json_object *json_new_array(void)
{
	return json_made(json_object_new_array());
}

json_object *json_number(int64_t value)
{
	return json_made(json_object_new_int64(value));
}

json_object *json_truth(bool value)
{
	return json_made(json_object_new_boolean(value));
}

json_object *json_text(const char *text)
{
	return text && text[0] ? json_made(json_object_new_string(text)) : NULL;
}

void json_put(json_object *object, const char *key, json_object *value)
{
	if (json_object_object_add(object, key, value) < 0)
		out_of_memory();
}

void json_append(json_object *list, json_object *value)
{
	if (json_object_array_add(list, value) < 0)
		out_of_memory();
}
