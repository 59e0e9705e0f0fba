/* The C library that the demonstration calls: it sorts, and asks managed code which line comes first. */
#include <stdlib.h>

struct line { const unsigned char *text; size_t len; };
struct lines { struct line *line; size_t n; };

/* Exported by the demonstration. */
extern int compare_lines(const void *a, const void *b);

__attribute__((noinline)) int sort_lines(void *arg)
{
	struct lines *lines = arg;

	qsort(lines->line, lines->n, sizeof *lines->line, compare_lines);
	return 0;
}
