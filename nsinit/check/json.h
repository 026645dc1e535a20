/* For the files that tell programs what nsinit check found; they alone see json-c. */
#ifndef NSINIT_CHECK_JSON_H
#define NSINIT_CHECK_JSON_H

#include "check.h"

#include <json-c/json.h>

/* These end the program when there is no memory: half a report would pass for a whole one. */
void *json_made(const void *made);
json_object *json_new_object(void);
json_object *json_new_array(void);
json_object *json_number(int64_t value);
json_object *json_truth(bool value);
/* "" and NULL are null. */
json_object *json_text(const char *text);
void json_put(json_object *object, const char *key, json_object *value);
void json_append(json_object *list, json_object *value);

json_object *check_json_container(const struct check_container *c);

#endif
