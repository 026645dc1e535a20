/* For the files that tell programs what nsinit check found; they alone see json-c. */
#ifndef NSINIT_CHECK_JSON_H
#define NSINIT_CHECK_JSON_H

#include "check.h"

#include <json-c/json.h>

/* "" and NULL are null. */
json_object *json_text(const char *text);

json_object *check_json_container(const struct check_container *c);

#endif
