/* json.h - reads JSON files that may be broken, deep, huge or of the wrong types.
 *
 * A strict reader (RFC 8259) of its own that builds json-glib's nodes; json-glib's parser is not
 * for hostile files: it recurses without a limit and wraps large integers. Typed getters report "FILE: "key" should be ..., but is ...". */
#pragma once

#include "allava-engine.h"

#include <json-glib/json-glib.h>

/* Nesting deeper than this is refused. Real files need 8. */
#define ALLAVA_JSON_MAX_DEPTH 64

/* Parses LENGTH bytes; FILE names them in errors. The root must be an object. Returns an owned
 * node. Errors: FORMAT. */
JsonNode *
allava_json_parse (const char *text, size_t length, const char *file, GError **error);

/* The same for a file of at most MAX_BYTES. Errors: FILE, FORMAT. */
JsonNode *allava_json_load (const char *path, size_t max_bytes, GError **error);

/* Each getter leaves *VALUE as it was (the caller's default) and returns TRUE where KEY is absent
 * or null, and returns FALSE with FORMAT where its type or range is wrong. Strings and objects are
 * borrowed from OBJECT. */
gboolean allava_json_get_int (JsonObject  *object,
                              const char  *file,
                              const char  *key,
                              int64_t      min,
                              int64_t      max,
                              int64_t     *value,
                              GError     **error);
gboolean allava_json_get_double (
    JsonObject *object, const char *file, const char *key, double *value, GError **error);
gboolean allava_json_get_bool (
    JsonObject *object, const char *file, const char *key, gboolean *value, GError **error);
gboolean allava_json_get_string (
    JsonObject *object, const char *file, const char *key, const char **value, GError **error);
gboolean allava_json_get_object (
    JsonObject *object, const char *file, const char *key, JsonObject **value, GError **error);
gboolean allava_json_get_array (
    JsonObject *object, const char *file, const char *key, JsonArray **value, GError **error);
