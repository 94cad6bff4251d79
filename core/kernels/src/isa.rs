//! Instruction sets, selected at run time.

use std::fmt;

/// An instruction set that this machine supports.
///
/// Values can only be obtained from [`Isa::detect`], [`Isa::available`] or [`Isa::PORTABLE`], so having one proves
/// that its kernels may run on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Isa(pub(crate) Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// Plain Rust, for any machine.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The fastest instruction set of this machine.
    pub fn detect() -> Self {
        Self::available().next().unwrap_or(Self::PORTABLE)
    }

    /// All instruction sets of this machine, fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let found = {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f");
            [avx512.then_some(Self(Set::Avx512)), avx2.then_some(Self(Set::Avx2)), Some(Self::PORTABLE)]
        };
        #[cfg(target_arch = "aarch64")]
        let found = {
            let neon = std::arch::is_aarch64_feature_detected!("neon");
            [neon.then_some(Self(Set::Neon)), Some(Self::PORTABLE)]
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let found = [Some(Self::PORTABLE)];
        found.into_iter().flatten()
    }

    /// `avx512`, `avx2`, `neon` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Portable => "portable",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Defines `unsafe fn name(isa, args…)`, which runs `inner::<S>(args…)` with the CPU features of `isa` enabled.
///
/// Everything that `inner` calls must be `#[inline(always)]`: only inlined code is compiled for those features. The
/// caller must ensure that pointers among the arguments are valid; the [`Isa`] guarantees the features.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident $(<$T:ident: $Bound:ident>)? ($($a:ident: $t:ty),* $(,)?) => $inner:ident) => {
        $(#[$meta])*
        $vis unsafe fn $name $(<$T: $Bound>)? (isa: $crate::isa::Isa, $($a: $t),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            unsafe fn avx512 $(<$T: $Bound>)? ($($a: $t),*) {
                $inner::<$crate::simd::x86::Avx512 $(, $T)?>($($a),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2 $(<$T: $Bound>)? ($($a: $t),*) {
                $inner::<$crate::simd::x86::Avx2 $(, $T)?>($($a),*);
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon $(<$T: $Bound>)? ($($a: $t),*) {
                $inner::<$crate::simd::neon::Neon $(, $T)?>($($a),*);
            }
            match isa.0 {
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Set::Avx512 => avx512 $(::<$T>)? ($($a),*),
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Set::Avx2 => avx2 $(::<$T>)? ($($a),*),
                #[cfg(target_arch = "aarch64")]
                $crate::isa::Set::Neon => neon $(::<$T>)? ($($a),*),
                $crate::isa::Set::Portable => $inner::<$crate::simd::Portable $(, $T)?>($($a),*),
            }
        }
    };
}
pub(crate) use dispatch;
