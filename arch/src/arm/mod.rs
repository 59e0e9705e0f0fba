//! arm: AAPCS32, A32 and Thumb-2, hard-float.
