//! arm64: AAPCS64.
