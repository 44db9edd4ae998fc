/* Preloaded into `weir processor`: a worker that copies so many bytes (DEADLY_BYTES) with some among them (DEADLY) dies
   with its whole process, as of a bug that nothing can catch. Packets are copied in that size when their batch is
   decoded, and at no other time. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void *memcpy(void *to, const void *from, size_t size)
{
    const char *bytes = getenv("DEADLY_BYTES"), *deadly = getenv("DEADLY");
    char thread[16] = "";

    if (bytes && deadly && size == strtoul(bytes, NULL, 10) && memmem(from, size, deadly, strlen(deadly))) {
        prctl(PR_GET_NAME, thread);
        if (!strncmp(thread, "worker", 6))
            abort();
    }
    return memmove(to, from, size);
}
