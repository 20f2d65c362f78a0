/* allava-settings.h - the preferences, as properties of a plain object.
 *
 * The desktop binds each to the key of the same name in its GSettings schema org.allava.Allava
 * (g_settings_bind() maps the enumeration by its nicks). Belongs to the main thread. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
  ALLAVA_ANNOUNCE_NEVER,
  ALLAVA_ANNOUNCE_DONE,      /* when an answer is done */
  ALLAVA_ANNOUNCE_SENTENCES, /* by whole sentences, as they come */
} AllavaAnnounce;

#define ALLAVA_TYPE_ANNOUNCE (allava_announce_get_type ())
GType allava_announce_get_type (void); /* nicks: never, done, sentences */

#define ALLAVA_TYPE_SETTINGS (allava_settings_get_type ())
G_DECLARE_FINAL_TYPE (AllavaSettings, allava_settings, ALLAVA, SETTINGS, GObject)

/* Properties, all readable and writable, with the schema's type and default:
 *   model          s  ''        folder of the model in use; empty: the bundled one
 *   models-folder  s  ''        where models are looked for; empty: <data folder>/models
 *   added-models   as []        folders added one by one
 *   device         s  'auto'    'auto', 'cpu', 'cuda', 'cuda:N'
 *   dtype          s  'auto'    'auto', 'f32', 'bf16', 'f16'
 *   threads        i  0         0 to 256; 0: one for each physical core
 *   max-tokens     i  768       1 to 4096
 *   temperature    d  0.0       0 to 2; 0: always the likeliest word
 *   top-p          d  1.0       0.01 to 1
 *   seed           x  0         0 or more
 *   idle-unload    i  10        minutes without a question until memory is given back, 0 to 1440;
 *                               0: never
 *   text-scale     d  1.0       0.5 to 3, times the system's
 *   announce       enum 'done'  AllavaAnnounce */

AllavaSettings *allava_settings_new (void);

const char *allava_settings_get_model (AllavaSettings *self);
const char *allava_settings_get_models_folder (AllavaSettings *self);
const char *const *allava_settings_get_added_models (AllavaSettings *self);
const char *allava_settings_get_device (AllavaSettings *self);
const char *allava_settings_get_dtype (AllavaSettings *self);
int allava_settings_get_threads (AllavaSettings *self);
int allava_settings_get_max_tokens (AllavaSettings *self);
double allava_settings_get_temperature (AllavaSettings *self);
double allava_settings_get_top_p (AllavaSettings *self);
gint64 allava_settings_get_seed (AllavaSettings *self);
int allava_settings_get_idle_unload (AllavaSettings *self);
double allava_settings_get_text_scale (AllavaSettings *self);
AllavaAnnounce allava_settings_get_announce (AllavaSettings *self);

G_END_DECLS
