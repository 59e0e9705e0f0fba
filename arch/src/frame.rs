//! How a frame is written once.
//!
//! Assembly, call frame information, accessors, assertions, the C header, the tables and the pictures all
//! need the layout of a frame. Rust has no reflection, so one macro, [`frames!`](crate::frames), emits the
//! `#[repr(C)]` structure and, from the same tokens, its [`Layout`]. Nothing else lists fields.
//!
//! The words are host-neutral: every frame of every CPU compiles, is asserted and is documented on every
//! host, so `W64` is eight bytes aligned to eight even where the host's `u64` is aligned to four.
//!
//! The functions here compute, and touch no memory but what they are given: they run on any stack, and are safe in a
//! signal handler.

use core::fmt;
use core::marker::PhantomData;

/// A machine word of some CPU, as it lies in memory.
///
/// # Safety
///
/// An implementation is `#[repr(C)]`, [`Word::BYTES`] bytes long and aligned to as many.
pub unsafe trait Word: Copy + Default + Eq + fmt::Debug + 'static {
    /// Size and alignment in bytes.
    const BYTES: usize;
    /// The word that holds `value`; bits that do not fit are dropped.
    fn new(value: u64) -> Self;
    /// The value, zero-extended.
    fn get(self) -> u64;
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $int:ty, $align:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(C, align($align))]
        pub struct $name($int);

        // SAFETY: one integer of `$align` bytes, aligned to `$align` (asserted below).
        unsafe impl Word for $name {
            const BYTES: usize = $align;
            #[inline(always)]
            fn new(value: u64) -> Self { Self(value as $int) }
            #[inline(always)]
            fn get(self) -> u64 { self.0 as u64 }
        }

        impl $name {
            /// The word that holds `value`.
            #[inline(always)]
            pub const fn of(value: $int) -> Self { Self(value) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:#x}", self.0) }
        }

        static_assertions::const_assert_eq!(size_of::<$name>(), $align);
        static_assertions::const_assert_eq!(align_of::<$name>(), $align);
    };
}

word!(
    /// Eight bytes, aligned to eight on every host.
    W64, u64, 8
);
word!(
    /// Four bytes, aligned to four on every host.
    W32, u32, 4
);

/// The address of a `T` in a word of the CPU it belongs to.
#[repr(transparent)]
pub struct Ptr<T, W>(W, PhantomData<*mut T>);

impl<T, W: Word> Ptr<T, W> {
    /// The null address.
    #[inline(always)]
    pub fn null() -> Self {
        Self(W::default(), PhantomData)
    }
    /// The address of `to`. The pointee's provenance is exposed.
    #[inline(always)]
    pub fn new(to: *mut T) -> Self {
        Self(W::new(to.expose_provenance() as u64), PhantomData)
    }
    /// The pointer, with exposed provenance. Meaningful on the CPU whose word `W` is.
    #[inline(always)]
    pub fn get(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0.get() as usize)
    }
    /// Whether the address is zero.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.get() == 0
    }
}

impl<T, W: Copy> Clone for Ptr<T, W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, W: Copy> Copy for Ptr<T, W> {}
impl<T, W: Word> Default for Ptr<T, W> {
    fn default() -> Self {
        Self::null()
    }
}
impl<T, W: fmt::Debug> fmt::Debug for Ptr<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A register as the ABI documents of its CPU name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// The assembler's name.
    pub name: &'static str,
    /// The number that DWARF gives it in the ABI supplement of its CPU.
    pub dwarf: u16,
    /// What the ABI uses it for.
    pub role: &'static str,
    /// Who keeps its value over a call.
    pub saved_by: SavedBy,
}

/// Who keeps a register's value over a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedBy {
    /// Its value is lost unless the caller saves it.
    Caller,
    /// The callee gives it back as it was.
    Callee,
    /// Neither: the platform owns it, or the call itself defines it.
    Neither,
}

/// Which stack a frame lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The m's system stack (g0).
    System,
    /// The stack of a managed task (curg).
    Managed,
    /// Either of them.
    Either,
    /// No stack: memory that the embedder gives.
    Memory,
}

/// One field of a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name, as assembly operands and accessors use it.
    pub name: &'static str,
    /// Bytes from the start of the frame, which is its lowest address.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// Its type, as it is written in the declaration.
    pub ty: &'static str,
    /// The register whose value the field holds.
    pub register: Option<Register>,
    /// Who writes it.
    pub writer: &'static str,
    /// Who reads it.
    pub reader: &'static str,
    /// What it is.
    pub doc: &'static str,
}

/// A frame or structure, described by the tokens that define it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The structure's name.
    pub name: &'static str,
    /// Which stack it lies on.
    pub on: On,
    /// Bytes.
    pub size: usize,
    /// Bytes.
    pub align: usize,
    /// What it is.
    pub doc: &'static str,
    /// In address order.
    pub fields: &'static [Field],
}

impl Layout {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether the fields follow each other without a gap and fill the structure: padding is a named field.
    pub const fn is_dense(&self) -> bool {
        let mut end = 0;
        let mut i = 0;
        while i < self.fields.len() {
            if self.fields[i].offset != end {
                return false;
            }
            end += self.fields[i].size;
            i += 1;
        }
        end == self.size
    }
}

/// Declares the registers of a CPU: a constant each, and `REGISTERS`.
#[macro_export]
#[doc(hidden)]
macro_rules! registers {
    ($($id:ident = $dwarf:literal $name:literal $saved:ident $role:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $role, ".")]
            pub const $id: $crate::frame::Register = $crate::frame::Register {
                name: $name, dwarf: $dwarf, role: $role, saved_by: $crate::frame::SavedBy::$saved,
            };
        )*
        /// Every register of this CPU that a frame or a rule names, in DWARF order of its class.
        pub const REGISTERS: &[$crate::frame::Register] = &[$($id),*];
    };
}

/// Declares frames: for each a `#[repr(C)]` structure with its `LAYOUT`, checked to be dense.
///
/// ```text
/// frames! {
///     /// What the frame is.
///     System frame Example {
///         /// What the field is.
///         link: W64, [RBP] "who writes" => "who reads";
///     }
/// }
/// ```
///
/// `(pinned)` after the name leaves out `Copy`: others hold the structure's address.
#[macro_export]
#[doc(hidden)]
macro_rules! frames {
    ($(
        $(#[doc = $doc:literal])+
        $on:ident frame $name:ident $(<$c:ident: $bound:path>)? $(($pinned:ident))? {
            $(
                $(#[doc = $fdoc:literal])+
                $field:ident : $ty:ty, $([$reg:expr])? $writer:literal => $reader:literal;
            )+
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[repr(C)]
        pub struct $name $(<$c: $bound>)? {
            $(
                $(#[doc = $fdoc])+
                #[doc = concat!("\n\nWritten by ", $writer, "; read by ", $reader, ".")]
                pub $field: $ty,
            )+
        }

        impl $(<$c: $bound>)? $name $(<$c>)? {
            /// This structure, described by the tokens that define it.
            pub const LAYOUT: $crate::frame::Layout = {
                let layout = $crate::frame::Layout {
                    name: stringify!($name),
                    on: $crate::frame::On::$on,
                    size: size_of::<Self>(),
                    align: align_of::<Self>(),
                    doc: concat!($($doc, "\n"),+),
                    fields: &[$(
                        $crate::frame::Field {
                            name: stringify!($field),
                            offset: $crate::memoffset::offset_of!(Self, $field),
                            size: size_of::<$ty>(),
                            ty: stringify!($ty),
                            register: $crate::frames!(@register $($reg)?),
                            writer: $writer,
                            reader: $reader,
                            doc: concat!($($fdoc, "\n"),+),
                        }
                    ),+],
                };
                assert!(layout.is_dense(), "padding must be a named `_reserved` field");
                layout
            };
        }

        $crate::frames!(@copy ($($pinned)?) $name $($c $bound)?);
        impl $(<$c: $bound>)? Default for $name $(<$c>)? {
            fn default() -> Self { Self { $($field: Default::default()),+ } }
        }
        impl $(<$c: $bound>)? core::fmt::Debug for $name $(<$c>)? {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))+.finish()
            }
        }
    )+};
    (@copy (pinned) $($rest:tt)*) => {};
    (@copy () $name:ident) => {
        impl Clone for $name {
            fn clone(&self) -> Self { *self }
        }
        impl Copy for $name {}
    };
    (@copy () $name:ident $c:ident $bound:path) => {
        impl<$c: $bound> Clone for $name<$c> {
            fn clone(&self) -> Self { *self }
        }
        impl<$c: $bound> Copy for $name<$c> {}
    };
    (@register) => { None };
    (@register $reg:expr) => { Some($reg) };
}
