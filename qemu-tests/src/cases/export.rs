//! Exported functions of any C signature, each called by C.

use crate::setup::in_task;
use crate::{cases, check_eq};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use stackgate::arch::asmcgocall;

/// How often the exported function of this case has run with the arguments that C passes.
static RIGHT: AtomicU32 = AtomicU32::new(0);

/// Counts a call whose arguments are right; names the first wrong one.
macro_rules! right {
    ($($arg:ident == $value:expr),* $(,)?) => {{
        $(assert_eq!($arg, $value, stringify!($arg));)*
        RIGHT.fetch_add(1, Ordering::Relaxed);
    }};
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Byte {
    /// Member.
    pub a: u8,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Three {
    /// Member.
    pub a: u8,
    /// Member.
    pub b: u8,
    /// Member.
    pub c: u8,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Four {
    /// Member.
    pub a: i32,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct IntFloat {
    /// Member.
    pub a: i32,
    /// Member.
    pub b: f32,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Twelve {
    /// Member.
    pub a: i32,
    /// Member.
    pub b: i32,
    /// Member.
    pub c: i32,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct LongDouble {
    /// Member.
    pub a: i64,
    /// Member.
    pub b: f64,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct TwoDoubles {
    /// Member.
    pub a: f64,
    /// Member.
    pub b: f64,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct FourFloats {
    /// Member.
    pub a: f32,
    /// Member.
    pub b: f32,
    /// Member.
    pub c: f32,
    /// Member.
    pub d: f32,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct OneDouble {
    /// Member.
    pub a: f64,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct ThreeLongs {
    /// Member.
    pub a: i64,
    /// Member.
    pub b: i64,
    /// Member.
    pub c: i64,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct FourDoubles {
    /// Member.
    pub a: f64,
    /// Member.
    pub b: f64,
    /// Member.
    pub c: f64,
    /// Member.
    pub d: f64,
}

/// By value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Big {
    /// Member.
    pub a: i32,
    /// Member.
    pub b: f64,
    /// Member.
    pub c: i64,
    /// Member.
    pub d: f32,
    /// Member.
    pub e: u8,
}

stackgate::export! {
    /// Called by C with 0 arguments.
    pub extern "C" fn exported_nothing() {
        right!();
    }

    /// Called by C with 0 arguments.
    pub extern "C" fn exported_answer() -> i32 {
        right!();
        -3_100_007
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_i8(a: i8) -> i8 {
        right!(a == -1);
        -1
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_u8(a: u8) -> u8 {
        right!(a == 201);
        201
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_i16(a: i16) -> i16 {
        right!(a == -300);
        -300
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_u16(a: u16) -> u16 {
        right!(a == 60_001);
        60_001
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_i32(a: i32) -> i32 {
        right!(a == -100_007);
        -100_007
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_u32(a: u32) -> u32 {
        right!(a == 4_000_000_001);
        4_000_000_001
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_i64(a: i64) -> i64 {
        right!(a == -5_000_000_003);
        -5_000_000_003
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_u64(a: u64) -> u64 {
        right!(a == 10_000_000_000_000_000_001);
        10_000_000_000_000_000_001
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_f32(a: f32) -> f32 {
        right!(a == 1.5);
        1.5
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_f64(a: f64) -> f64 {
        right!(a == -0.25);
        -0.25
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_ptr(a: *mut c_void) -> *mut c_void {
        right!(a == core::ptr::without_provenance_mut(0x1000));
        core::ptr::without_provenance_mut(0x1000)
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_same_bool(a: bool) -> bool {
        right!(a == true);
        true
    }

    /// Called by C with 2 arguments.
    pub extern "C" fn exported_ints_2(a: i32, b: i32) -> i32 {
        right!(a == -100_007, b == -200_007);
        -3_100_007
    }

    /// Called by C with 3 arguments.
    pub extern "C" fn exported_ints_3(a: i32, b: i32, c: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007);
        -3_100_007
    }

    /// Called by C with 4 arguments.
    pub extern "C" fn exported_ints_4(a: i32, b: i32, c: i32, d: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007);
        -3_100_007
    }

    /// Called by C with 5 arguments.
    pub extern "C" fn exported_ints_5(a: i32, b: i32, c: i32, d: i32, e: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007);
        -3_100_007
    }

    /// Called by C with 6 arguments.
    pub extern "C" fn exported_ints_6(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007);
        -3_100_007
    }

    /// Called by C with 7 arguments.
    pub extern "C" fn exported_ints_7(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007);
        -3_100_007
    }

    /// Called by C with 8 arguments.
    pub extern "C" fn exported_ints_8(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007, h == -800_007);
        -3_100_007
    }

    /// Called by C with 9 arguments.
    pub extern "C" fn exported_ints_9(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007, h == -800_007, i == -900_007);
        -3_100_007
    }

    /// Called by C with 10 arguments.
    pub extern "C" fn exported_ints_10(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32, j: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007, h == -800_007, i == -900_007, j == -1_000_007);
        -3_100_007
    }

    /// Called by C with 11 arguments.
    pub extern "C" fn exported_ints_11(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32, j: i32, k: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007, h == -800_007, i == -900_007, j == -1_000_007, k == -1_100_007);
        -3_100_007
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_ints_12(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32, j: i32, k: i32, l: i32) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == -600_007, g == -700_007, h == -800_007, i == -900_007, j == -1_000_007, k == -1_100_007, l == -1_200_007);
        -3_100_007
    }

    /// Called by C with 6 arguments.
    pub extern "C" fn exported_longs_6(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
        right!(a == -5_000_000_003, b == -10_000_000_003, c == -15_000_000_003, d == -20_000_000_003, e == -25_000_000_003, f == -30_000_000_003);
        -155_000_000_003
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_longs_12(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64, i: i64, j: i64, k: i64, l: i64) -> i64 {
        right!(a == -5_000_000_003, b == -10_000_000_003, c == -15_000_000_003, d == -20_000_000_003, e == -25_000_000_003, f == -30_000_000_003, g == -35_000_000_003, h == -40_000_000_003, i == -45_000_000_003, j == -50_000_000_003, k == -55_000_000_003, l == -60_000_000_003);
        -155_000_000_003
    }

    /// Called by C with 4 arguments.
    pub extern "C" fn exported_floats_4(a: f32, b: f32, c: f32, d: f32) -> f32 {
        right!(a == 1.5, b == 2.5, c == 3.5, d == 4.5);
        31.5
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_floats_12(a: f32, b: f32, c: f32, d: f32, e: f32, f: f32, g: f32, h: f32, i: f32, j: f32, k: f32, l: f32) -> f32 {
        right!(a == 1.5, b == 2.5, c == 3.5, d == 4.5, e == 5.5, f == 6.5, g == 7.5, h == 8.5, i == 9.5, j == 10.5, k == 11.5, l == 12.5);
        31.5
    }

    /// Called by C with 8 arguments.
    pub extern "C" fn exported_doubles_8(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64) -> f64 {
        right!(a == -0.25, b == -0.5, c == -0.75, d == -1.0, e == -1.25, f == -1.5, g == -1.75, h == -2.0);
        -7.75
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_doubles_12(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64, i: f64, j: f64, k: f64, l: f64) -> f64 {
        right!(a == -0.25, b == -0.5, c == -0.75, d == -1.0, e == -1.25, f == -1.5, g == -1.75, h == -2.0, i == -2.25, j == -2.5, k == -2.75, l == -3.0);
        -7.75
    }

    /// Called by C with 4 arguments.
    pub extern "C" fn exported_int_long(a: i32, b: i64, c: i32, d: i64) -> i64 {
        right!(a == -100_007, b == -10_000_000_003, c == -300_007, d == -20_000_000_003);
        -155_000_000_003
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_long_int_12(a: i64, b: i32, c: i64, d: i32, e: i64, f: i32, g: i64, h: i32, i: i64, j: i32, k: i64, l: i32) -> i32 {
        right!(a == -5_000_000_003, b == -200_007, c == -15_000_000_003, d == -400_007, e == -25_000_000_003, f == -600_007, g == -35_000_000_003, h == -800_007, i == -45_000_000_003, j == -1_000_007, k == -55_000_000_003, l == -1_200_007);
        -3_100_007
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_int_double_12(a: i32, b: f64, c: i32, d: f64, e: i32, f: f64, g: i32, h: f64, i: i32, j: f64, k: i32, l: f64) -> f64 {
        right!(a == -100_007, b == -0.5, c == -300_007, d == -1.0, e == -500_007, f == -1.5, g == -700_007, h == -2.0, i == -900_007, j == -2.5, k == -1_100_007, l == -3.0);
        -7.75
    }

    /// Called by C with 5 arguments.
    pub extern "C" fn exported_float_double(a: f32, b: f64, c: f32, d: f64, e: f32) -> f64 {
        right!(a == 1.5, b == -0.5, c == 3.5, d == -1.0, e == 5.5);
        -7.75
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_small_12(a: i8, b: u8, c: i16, d: u16, e: i32, f: u32, g: i8, h: u8, i: i16, j: u16, k: i32, l: u32) -> i16 {
        right!(a == -1, b == 202, c == -900, d == 60_004, e == -500_007, f == 4_000_000_006, g == -7, h == 208, i == -2700, j == 60_010, k == -1_100_007, l == 4_000_000_012);
        -9300
    }

    /// Called by C with 12 arguments.
    pub extern "C" fn exported_all_12(a: i8, b: f64, c: *mut c_void, d: i64, e: f32, f: u16, g: u64, h: f64, i: bool, j: i32, k: f32, l: u8) -> u64 {
        right!(a == -1, b == -0.5, c == core::ptr::without_provenance_mut(0x3000), d == -20_000_000_003, e == 5.5, f == 60_006, g == 10_000_000_000_000_000_007, h == -2.0, i == true, j == -1_000_007, k == 11.5, l == 212);
        10_000_000_000_000_000_031
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_byte(a: Byte) -> Byte {
        right!(a == Byte { a: 201 });
        Byte { a: 201 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_three(a: Three) -> Three {
        right!(a == Three { a: 201, b: 202, c: 203 });
        Three { a: 201, b: 202, c: 203 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_four(a: Four) -> Four {
        right!(a == Four { a: -100_007 });
        Four { a: -100_007 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_intfloat(a: IntFloat) -> IntFloat {
        right!(a == IntFloat { a: -100_007, b: 2.5 });
        IntFloat { a: -100_007, b: 2.5 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_twelve(a: Twelve) -> Twelve {
        right!(a == Twelve { a: -100_007, b: -200_007, c: -300_007 });
        Twelve { a: -100_007, b: -200_007, c: -300_007 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_longdouble(a: LongDouble) -> LongDouble {
        right!(a == LongDouble { a: -5_000_000_003, b: -0.5 });
        LongDouble { a: -5_000_000_003, b: -0.5 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_twodoubles(a: TwoDoubles) -> TwoDoubles {
        right!(a == TwoDoubles { a: -0.25, b: -0.5 });
        TwoDoubles { a: -0.25, b: -0.5 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_fourfloats(a: FourFloats) -> FourFloats {
        right!(a == FourFloats { a: 1.5, b: 2.5, c: 3.5, d: 4.5 });
        FourFloats { a: 1.5, b: 2.5, c: 3.5, d: 4.5 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_onedouble(a: OneDouble) -> OneDouble {
        right!(a == OneDouble { a: -0.25 });
        OneDouble { a: -0.25 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_threelongs(a: ThreeLongs) -> ThreeLongs {
        right!(a == ThreeLongs { a: -5_000_000_003, b: -10_000_000_003, c: -15_000_000_003 });
        ThreeLongs { a: -5_000_000_003, b: -10_000_000_003, c: -15_000_000_003 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_fourdoubles(a: FourDoubles) -> FourDoubles {
        right!(a == FourDoubles { a: -0.25, b: -0.5, c: -0.75, d: -1.0 });
        FourDoubles { a: -0.25, b: -0.5, c: -0.75, d: -1.0 }
    }

    /// Called by C with 1 argument.
    pub extern "C" fn exported_struct_big(a: Big) -> Big {
        right!(a == Big { a: -100_007, b: -0.5, c: -15_000_000_003, d: 4.5, e: 205 });
        Big { a: -100_007, b: -0.5, c: -15_000_000_003, d: 4.5, e: 205 }
    }

    /// Called by C with 7 arguments.
    pub extern "C" fn exported_struct_after_ints(a: i32, b: i32, c: i32, d: i32, e: i32, f: LongDouble, g: IntFloat) -> i32 {
        right!(a == -100_007, b == -200_007, c == -300_007, d == -400_007, e == -500_007, f == LongDouble { a: -180_000_000_003, b: -9.25 }, g == IntFloat { a: -4_300_007, b: 44.5 });
        -3_100_007
    }

    /// Called by C with 9 arguments.
    pub extern "C" fn exported_struct_after_doubles(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: TwoDoubles, i: f64) -> f64 {
        right!(a == -0.25, b == -0.5, c == -0.75, d == -1.0, e == -1.25, f == -1.5, g == -1.75, h == TwoDoubles { a: -12.5, b: -12.75 }, i == -2.25);
        -7.75
    }

    /// Called by C with 6 arguments.
    pub extern "C" fn exported_structs_mixed(a: Byte, b: FourFloats, c: i64, d: Big, e: f32, f: Three) -> Big {
        right!(a == Byte { a: 201 }, b == FourFloats { a: 8.5, b: 9.5, c: 10.5, d: 11.5 }, c == -15_000_000_003, d == Big { a: -2_200_007, b: -5.75, c: -120_000_000_003, d: 25.5, e: 226 }, e == 5.5, f == Three { a: 236, b: 237, c: 238 });
        Big { a: -21_100_007, b: -53.0, c: -1_065_000_000_003, d: 214.5, e: 215 }
    }

    /// Called by C with 2 arguments.
    pub extern "C" fn exported_struct_returned(a: i32, b: f64) -> FourDoubles {
        right!(a == -100_007, b == -0.5);
        FourDoubles { a: -52.75, b: -53.0, c: -53.25, d: -53.5 }
    }
}

/// Declares the C callers and a case for each.
macro_rules! callers {
    ($($name:literal => $c:ident;)+) => {
        unsafe extern "C" {
            $(fn $c(arg: *mut c_void) -> c_int;)+
        }
        cases! { "export"; $($name => || called($c);)+ }
    };
}

/// Calls C, which calls the exported function, from a task; and again.
fn called(c: unsafe extern "C" fn(*mut c_void) -> c_int) {
    in_task(|| {
        for calls in 1..=3 {
            // SAFETY: C ignores its argument.
            check_eq!(unsafe { asmcgocall(c, core::ptr::null_mut()) }, 1, "the result that C gets");
            check_eq!(RIGHT.load(Ordering::Relaxed), calls, "calls with the right arguments");
        }
    });
}

callers! {
    "nothing" => call_nothing;
    "answer" => call_answer;
    "same i8" => call_same_i8;
    "same u8" => call_same_u8;
    "same i16" => call_same_i16;
    "same u16" => call_same_u16;
    "same i32" => call_same_i32;
    "same u32" => call_same_u32;
    "same i64" => call_same_i64;
    "same u64" => call_same_u64;
    "same f32" => call_same_f32;
    "same f64" => call_same_f64;
    "same ptr" => call_same_ptr;
    "same bool" => call_same_bool;
    "ints 2" => call_ints_2;
    "ints 3" => call_ints_3;
    "ints 4" => call_ints_4;
    "ints 5" => call_ints_5;
    "ints 6" => call_ints_6;
    "ints 7" => call_ints_7;
    "ints 8" => call_ints_8;
    "ints 9" => call_ints_9;
    "ints 10" => call_ints_10;
    "ints 11" => call_ints_11;
    "ints 12" => call_ints_12;
    "longs 6" => call_longs_6;
    "longs 12" => call_longs_12;
    "floats 4" => call_floats_4;
    "floats 12" => call_floats_12;
    "doubles 8" => call_doubles_8;
    "doubles 12" => call_doubles_12;
    "int long" => call_int_long;
    "long int 12" => call_long_int_12;
    "int double 12" => call_int_double_12;
    "float double" => call_float_double;
    "small 12" => call_small_12;
    "all 12" => call_all_12;
    "struct byte" => call_struct_byte;
    "struct three" => call_struct_three;
    "struct four" => call_struct_four;
    "struct intfloat" => call_struct_intfloat;
    "struct twelve" => call_struct_twelve;
    "struct longdouble" => call_struct_longdouble;
    "struct twodoubles" => call_struct_twodoubles;
    "struct fourfloats" => call_struct_fourfloats;
    "struct onedouble" => call_struct_onedouble;
    "struct threelongs" => call_struct_threelongs;
    "struct fourdoubles" => call_struct_fourdoubles;
    "struct big" => call_struct_big;
    "struct after ints" => call_struct_after_ints;
    "struct after doubles" => call_struct_after_doubles;
    "structs mixed" => call_structs_mixed;
    "struct returned" => call_struct_returned;
}
