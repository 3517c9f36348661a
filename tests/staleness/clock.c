/* Orthanc's clock for a test: time() returns the number in the file CLOCK, a 64-bit integer. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

time_t time(time_t *result) {
  static volatile time_t *seconds;
  if (!seconds) {
    int file = open(getenv("CLOCK"), O_RDONLY);
    void *content = mmap(0, sizeof(time_t), PROT_READ, MAP_SHARED, file, 0);
    if (content == MAP_FAILED) abort();
    seconds = content;
  }
  if (result) *result = *seconds;
  return *seconds;
}
