/* Every kernel of the CUDA backend over random shapes against plain loops in double precision, on a
 * GPU or on the emulated one. */
#include "fixture.h"

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autoptr (GError) error = NULL;
  CudaDevice *device = cuda_device_open (0, &error);
  if (device == NULL) {
    g_print ("TAP version 13\n1..0 # SKIP %s\n", error->message);
    return 0;
  }
  cuda_device_close (device);
  add_attention_tests ();
  add_decode_tests ();
  add_choose_tests ();
  add_steps_tests ();
  return g_test_run ();
}
