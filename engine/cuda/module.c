#include "module.h"

#include <dlfcn.h>

#define MODULE "liballava-cuda.so"

/* The module stays once it is loaded: the driver's threads may outlive any model. */
static const AllavaBackend *
open_module (const char *path, GError **error)
{
  void *module = dlopen (path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (module == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "the CUDA module cannot be loaded: %s",
                 dlerror ());
    return NULL;
  }
  AllavaCudaGetBackend get_backend =
      (AllavaCudaGetBackend)dlsym (module, "allava_cuda_get_backend");
  const AllavaBackend *backend = get_backend != NULL ? get_backend (ALLAVA_CUDA_INTERFACE) : NULL;
  if (backend == NULL)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
                 "%s belongs to another version of Allava", path);
  return backend;
}

/* A program of the build tree takes the build tree's module; others one that lies with them, or the
 * installed one. */
static char *
find_module (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *dir = program != NULL ? g_path_get_dirname (program) : g_strdup ("/");
  gboolean uninstalled = program != NULL && g_str_has_prefix (program, ALLAVA_BUILD_DIR "/");
  char *const paths[] = {
      uninstalled ? g_strdup (ALLAVA_BUILD_DIR "/engine/cuda/" MODULE)
                  : g_build_filename (dir, MODULE, NULL),
      g_build_filename (dir, "..", "lib", "allava", MODULE, NULL),
      g_strdup (ALLAVA_MODULE_DIR "/" MODULE),
  };
  char *found = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS (paths); i++) {
    if (found == NULL && g_file_test (paths[i], G_FILE_TEST_EXISTS))
      found = g_strdup (paths[i]);
    g_free (paths[i]);
  }
  return found;
}

const AllavaBackend *
allava_cuda_module_load (GError **error)
{
  g_autofree char *path = find_module ();
  if (path != NULL)
    return open_module (path, error);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
               "Allava's CUDA module (" MODULE ") is not installed");
  return NULL;
}
