/* C that computes with floating point numbers, and its modes. */
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct format { double value; char text[64]; };

/* Needs an aligned stack and a caller's area as the ABI says. */
int c_format(void *arg)
{
	struct format *f = arg;

	return snprintf(f->text, sizeof f->text, "%.3f %a %d %s", f->value, 0.5, 42, "end");
}

int c_get_round(void *arg)
{
	(void)arg;
	return fegetround();
}

int c_set_upward(void *arg)
{
	(void)arg;
	return fesetround(FE_UPWARD);
}

int c_set_nearest(void *arg)
{
	(void)arg;
	return fesetround(FE_TONEAREST);
}

int c_is_upward(void *arg)
{
	(void)arg;
	return fegetround() == FE_UPWARD;
}

/* One third, as the rounding mode says. */
int c_third(void *arg)
{
	volatile double one = 1, three = 3;

	*(double *)arg = one / three;
	return 0;
}

int c_raise_inexact(void *arg)
{
	volatile double one = 1, three = 3, third;

	(void)arg;
	feclearexcept(FE_ALL_EXCEPT);
	third = one / three;
	(void)third;
	return !!fetestexcept(FE_INEXACT);
}

int c_clear_inexact(void *arg)
{
	(void)arg;
	feclearexcept(FE_ALL_EXCEPT);
	return 0;
}

int c_test_inexact(void *arg)
{
	(void)arg;
	return !!fetestexcept(FE_INEXACT);
}
