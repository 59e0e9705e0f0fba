/* C callers of every signature that the tests export. Each returns 1 when the callee saw the arguments it
 * was given and the result came back. */
#include <stdint.h>
#include <string.h>

struct byte { uint8_t a; };
struct three { uint8_t a; uint8_t b; uint8_t c; };
struct four { int32_t a; };
struct intfloat { int32_t a; float b; };
struct twelve { int32_t a; int32_t b; int32_t c; };
struct longdouble { int64_t a; double b; };
struct twodoubles { double a; double b; };
struct fourfloats { float a; float b; float c; float d; };
struct onedouble { double a; };
struct threelongs { int64_t a; int64_t b; int64_t c; };
struct fourdoubles { double a; double b; double c; double d; };
struct big { int32_t a; double b; int64_t c; float d; uint8_t e; };

extern void exported_nothing(void);
extern int32_t exported_answer(void);
extern int8_t exported_same_i8(int8_t);
extern uint8_t exported_same_u8(uint8_t);
extern int16_t exported_same_i16(int16_t);
extern uint16_t exported_same_u16(uint16_t);
extern int32_t exported_same_i32(int32_t);
extern uint32_t exported_same_u32(uint32_t);
extern int64_t exported_same_i64(int64_t);
extern uint64_t exported_same_u64(uint64_t);
extern float exported_same_f32(float);
extern double exported_same_f64(double);
extern void *exported_same_ptr(void *);
extern _Bool exported_same_bool(_Bool);
extern int32_t exported_ints_2(int32_t, int32_t);
extern int32_t exported_ints_3(int32_t, int32_t, int32_t);
extern int32_t exported_ints_4(int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_5(int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_6(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_7(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_8(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_9(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_10(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_11(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int32_t exported_ints_12(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
extern int64_t exported_longs_6(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
extern int64_t exported_longs_12(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
extern float exported_floats_4(float, float, float, float);
extern float exported_floats_12(float, float, float, float, float, float, float, float, float, float, float, float);
extern double exported_doubles_8(double, double, double, double, double, double, double, double);
extern double exported_doubles_12(double, double, double, double, double, double, double, double, double, double, double, double);
extern int64_t exported_int_long(int32_t, int64_t, int32_t, int64_t);
extern int32_t exported_long_int_12(int64_t, int32_t, int64_t, int32_t, int64_t, int32_t, int64_t, int32_t, int64_t, int32_t, int64_t, int32_t);
extern double exported_int_double_12(int32_t, double, int32_t, double, int32_t, double, int32_t, double, int32_t, double, int32_t, double);
extern double exported_float_double(float, double, float, double, float);
extern int16_t exported_small_12(int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t);
extern uint64_t exported_all_12(int8_t, double, void *, int64_t, float, uint16_t, uint64_t, double, _Bool, int32_t, float, uint8_t);
extern struct byte exported_struct_byte(struct byte);
extern struct three exported_struct_three(struct three);
extern struct four exported_struct_four(struct four);
extern struct intfloat exported_struct_intfloat(struct intfloat);
extern struct twelve exported_struct_twelve(struct twelve);
extern struct longdouble exported_struct_longdouble(struct longdouble);
extern struct twodoubles exported_struct_twodoubles(struct twodoubles);
extern struct fourfloats exported_struct_fourfloats(struct fourfloats);
extern struct onedouble exported_struct_onedouble(struct onedouble);
extern struct threelongs exported_struct_threelongs(struct threelongs);
extern struct fourdoubles exported_struct_fourdoubles(struct fourdoubles);
extern struct big exported_struct_big(struct big);
extern int32_t exported_struct_after_ints(int32_t, int32_t, int32_t, int32_t, int32_t, struct longdouble, struct intfloat);
extern double exported_struct_after_doubles(double, double, double, double, double, double, double, struct twodoubles, double);
extern struct big exported_structs_mixed(struct byte, struct fourfloats, int64_t, struct big, float, struct three);
extern struct fourdoubles exported_struct_returned(int32_t, double);

int call_nothing(void *arg)
{
	(void)arg;
	exported_nothing();
	return 1;
}

int call_answer(void *arg)
{
	(void)arg;
	return exported_answer() == -3100007;
}

int call_same_i8(void *arg)
{
	(void)arg;
	return exported_same_i8(-1) == -1;
}

int call_same_u8(void *arg)
{
	(void)arg;
	return exported_same_u8(201) == 201;
}

int call_same_i16(void *arg)
{
	(void)arg;
	return exported_same_i16(-300) == -300;
}

int call_same_u16(void *arg)
{
	(void)arg;
	return exported_same_u16(60001) == 60001;
}

int call_same_i32(void *arg)
{
	(void)arg;
	return exported_same_i32(-100007) == -100007;
}

int call_same_u32(void *arg)
{
	(void)arg;
	return exported_same_u32(4000000001u) == 4000000001u;
}

int call_same_i64(void *arg)
{
	(void)arg;
	return exported_same_i64(INT64_C(-5000000003)) == INT64_C(-5000000003);
}

int call_same_u64(void *arg)
{
	(void)arg;
	return exported_same_u64(UINT64_C(10000000000000000001)) == UINT64_C(10000000000000000001);
}

int call_same_f32(void *arg)
{
	(void)arg;
	return exported_same_f32(1.5f) == 1.5f;
}

int call_same_f64(void *arg)
{
	(void)arg;
	return exported_same_f64(-0.25) == -0.25;
}

int call_same_ptr(void *arg)
{
	(void)arg;
	return exported_same_ptr((void *)4096) == (void *)4096;
}

int call_same_bool(void *arg)
{
	(void)arg;
	return exported_same_bool(1) == 1;
}

int call_ints_2(void *arg)
{
	(void)arg;
	return exported_ints_2(-100007, -200007) == -3100007;
}

int call_ints_3(void *arg)
{
	(void)arg;
	return exported_ints_3(-100007, -200007, -300007) == -3100007;
}

int call_ints_4(void *arg)
{
	(void)arg;
	return exported_ints_4(-100007, -200007, -300007, -400007) == -3100007;
}

int call_ints_5(void *arg)
{
	(void)arg;
	return exported_ints_5(-100007, -200007, -300007, -400007, -500007) == -3100007;
}

int call_ints_6(void *arg)
{
	(void)arg;
	return exported_ints_6(-100007, -200007, -300007, -400007, -500007, -600007) == -3100007;
}

int call_ints_7(void *arg)
{
	(void)arg;
	return exported_ints_7(-100007, -200007, -300007, -400007, -500007, -600007, -700007) == -3100007;
}

int call_ints_8(void *arg)
{
	(void)arg;
	return exported_ints_8(-100007, -200007, -300007, -400007, -500007, -600007, -700007, -800007) == -3100007;
}

int call_ints_9(void *arg)
{
	(void)arg;
	return exported_ints_9(-100007, -200007, -300007, -400007, -500007, -600007, -700007, -800007, -900007) == -3100007;
}

int call_ints_10(void *arg)
{
	(void)arg;
	return exported_ints_10(-100007, -200007, -300007, -400007, -500007, -600007, -700007, -800007, -900007, -1000007) == -3100007;
}

int call_ints_11(void *arg)
{
	(void)arg;
	return exported_ints_11(-100007, -200007, -300007, -400007, -500007, -600007, -700007, -800007, -900007, -1000007, -1100007) == -3100007;
}

int call_ints_12(void *arg)
{
	(void)arg;
	return exported_ints_12(-100007, -200007, -300007, -400007, -500007, -600007, -700007, -800007, -900007, -1000007, -1100007, -1200007) == -3100007;
}

int call_longs_6(void *arg)
{
	(void)arg;
	return exported_longs_6(INT64_C(-5000000003), INT64_C(-10000000003), INT64_C(-15000000003), INT64_C(-20000000003), INT64_C(-25000000003), INT64_C(-30000000003)) == INT64_C(-155000000003);
}

int call_longs_12(void *arg)
{
	(void)arg;
	return exported_longs_12(INT64_C(-5000000003), INT64_C(-10000000003), INT64_C(-15000000003), INT64_C(-20000000003), INT64_C(-25000000003), INT64_C(-30000000003), INT64_C(-35000000003), INT64_C(-40000000003), INT64_C(-45000000003), INT64_C(-50000000003), INT64_C(-55000000003), INT64_C(-60000000003)) == INT64_C(-155000000003);
}

int call_floats_4(void *arg)
{
	(void)arg;
	return exported_floats_4(1.5f, 2.5f, 3.5f, 4.5f) == 31.5f;
}

int call_floats_12(void *arg)
{
	(void)arg;
	return exported_floats_12(1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f, 8.5f, 9.5f, 10.5f, 11.5f, 12.5f) == 31.5f;
}

int call_doubles_8(void *arg)
{
	(void)arg;
	return exported_doubles_8(-0.25, -0.5, -0.75, -1.0, -1.25, -1.5, -1.75, -2.0) == -7.75;
}

int call_doubles_12(void *arg)
{
	(void)arg;
	return exported_doubles_12(-0.25, -0.5, -0.75, -1.0, -1.25, -1.5, -1.75, -2.0, -2.25, -2.5, -2.75, -3.0) == -7.75;
}

int call_int_long(void *arg)
{
	(void)arg;
	return exported_int_long(-100007, INT64_C(-10000000003), -300007, INT64_C(-20000000003)) == INT64_C(-155000000003);
}

int call_long_int_12(void *arg)
{
	(void)arg;
	return exported_long_int_12(INT64_C(-5000000003), -200007, INT64_C(-15000000003), -400007, INT64_C(-25000000003), -600007, INT64_C(-35000000003), -800007, INT64_C(-45000000003), -1000007, INT64_C(-55000000003), -1200007) == -3100007;
}

int call_int_double_12(void *arg)
{
	(void)arg;
	return exported_int_double_12(-100007, -0.5, -300007, -1.0, -500007, -1.5, -700007, -2.0, -900007, -2.5, -1100007, -3.0) == -7.75;
}

int call_float_double(void *arg)
{
	(void)arg;
	return exported_float_double(1.5f, -0.5, 3.5f, -1.0, 5.5f) == -7.75;
}

int call_small_12(void *arg)
{
	(void)arg;
	return exported_small_12(-1, 202, -900, 60004, -500007, 4000000006u, -7, 208, -2700, 60010, -1100007, 4000000012u) == -9300;
}

int call_all_12(void *arg)
{
	(void)arg;
	return exported_all_12(-1, -0.5, (void *)12288, INT64_C(-20000000003), 5.5f, 60006, UINT64_C(10000000000000000007), -2.0, 1, -1000007, 11.5f, 212) == UINT64_C(10000000000000000031);
}

int call_struct_byte(void *arg)
{
	struct byte r = exported_struct_byte((struct byte){ 201 });

	(void)arg;
	return r.a == 201;
}

int call_struct_three(void *arg)
{
	struct three r = exported_struct_three((struct three){ 201, 202, 203 });

	(void)arg;
	return r.a == 201 && r.b == 202 && r.c == 203;
}

int call_struct_four(void *arg)
{
	struct four r = exported_struct_four((struct four){ -100007 });

	(void)arg;
	return r.a == -100007;
}

int call_struct_intfloat(void *arg)
{
	struct intfloat r = exported_struct_intfloat((struct intfloat){ -100007, 2.5f });

	(void)arg;
	return r.a == -100007 && r.b == 2.5f;
}

int call_struct_twelve(void *arg)
{
	struct twelve r = exported_struct_twelve((struct twelve){ -100007, -200007, -300007 });

	(void)arg;
	return r.a == -100007 && r.b == -200007 && r.c == -300007;
}

int call_struct_longdouble(void *arg)
{
	struct longdouble r = exported_struct_longdouble((struct longdouble){ INT64_C(-5000000003), -0.5 });

	(void)arg;
	return r.a == INT64_C(-5000000003) && r.b == -0.5;
}

int call_struct_twodoubles(void *arg)
{
	struct twodoubles r = exported_struct_twodoubles((struct twodoubles){ -0.25, -0.5 });

	(void)arg;
	return r.a == -0.25 && r.b == -0.5;
}

int call_struct_fourfloats(void *arg)
{
	struct fourfloats r = exported_struct_fourfloats((struct fourfloats){ 1.5f, 2.5f, 3.5f, 4.5f });

	(void)arg;
	return r.a == 1.5f && r.b == 2.5f && r.c == 3.5f && r.d == 4.5f;
}

int call_struct_onedouble(void *arg)
{
	struct onedouble r = exported_struct_onedouble((struct onedouble){ -0.25 });

	(void)arg;
	return r.a == -0.25;
}

int call_struct_threelongs(void *arg)
{
	struct threelongs r = exported_struct_threelongs((struct threelongs){ INT64_C(-5000000003), INT64_C(-10000000003), INT64_C(-15000000003) });

	(void)arg;
	return r.a == INT64_C(-5000000003) && r.b == INT64_C(-10000000003) && r.c == INT64_C(-15000000003);
}

int call_struct_fourdoubles(void *arg)
{
	struct fourdoubles r = exported_struct_fourdoubles((struct fourdoubles){ -0.25, -0.5, -0.75, -1.0 });

	(void)arg;
	return r.a == -0.25 && r.b == -0.5 && r.c == -0.75 && r.d == -1.0;
}

int call_struct_big(void *arg)
{
	struct big r = exported_struct_big((struct big){ -100007, -0.5, INT64_C(-15000000003), 4.5f, 205 });

	(void)arg;
	return r.a == -100007 && r.b == -0.5 && r.c == INT64_C(-15000000003) && r.d == 4.5f && r.e == 205;
}

int call_struct_after_ints(void *arg)
{
	(void)arg;
	return exported_struct_after_ints(-100007, -200007, -300007, -400007, -500007, (struct longdouble){ INT64_C(-180000000003), -9.25 }, (struct intfloat){ -4300007, 44.5f }) == -3100007;
}

int call_struct_after_doubles(void *arg)
{
	(void)arg;
	return exported_struct_after_doubles(-0.25, -0.5, -0.75, -1.0, -1.25, -1.5, -1.75, (struct twodoubles){ -12.5, -12.75 }, -2.25) == -7.75;
}

int call_structs_mixed(void *arg)
{
	struct big r = exported_structs_mixed((struct byte){ 201 }, (struct fourfloats){ 8.5f, 9.5f, 10.5f, 11.5f }, INT64_C(-15000000003), (struct big){ -2200007, -5.75, INT64_C(-120000000003), 25.5f, 226 }, 5.5f, (struct three){ 236, 237, 238 });

	(void)arg;
	return r.a == -21100007 && r.b == -53.0 && r.c == INT64_C(-1065000000003) && r.d == 214.5f && r.e == 215;
}

int call_struct_returned(void *arg)
{
	struct fourdoubles r = exported_struct_returned(-100007, -0.5);

	(void)arg;
	return r.a == -52.75 && r.b == -53.0 && r.c == -53.25 && r.d == -53.5;
}
