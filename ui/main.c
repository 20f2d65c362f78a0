/* The program allava. */
#include "allava-application.h"

int
main (int argc, char **argv)
{
  g_autoptr (AllavaApplication) application = allava_application_new (NULL);
  return g_application_run (G_APPLICATION (application), argc, argv);
}
