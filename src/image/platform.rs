//! Platforms: `os/architecture[/variant]`.

use std::fmt;
use std::str::FromStr;

/// What an image is made to run on. Any part may be empty: archives leave them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, … in Go's names.
    pub architecture: String,
    /// `v7`, `v8`, …
    pub variant: String,
    /// The version of Windows that a Windows image wants.
    pub os_version: String,
}

/// A platform that was asked for is not `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no platform: `os/architecture` or `os/architecture/variant` is wanted, such as linux/arm64"
)]
pub struct PlatformError(String);

impl Platform {
    /// The platform that this program runs on, in Go's names.
    pub fn host() -> Self {
        Self {
            os: match std::env::consts::OS {
                "macos" => "darwin",
                os => os,
            }
            .to_owned(),
            architecture: normal_architecture(std::env::consts::ARCH).0.to_owned(),
            ..Self::default()
        }
    }

    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }

    /// Whether an image for `self` is one for `wanted`. A variant that one side leaves out is not
    /// compared, save that `arm64` alone means `v8` and `arm` alone means `v7`, as in containerd.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let (own, own_default) = normal_architecture(&self.architecture);
        let (other, other_default) = normal_architecture(&wanted.architecture);
        let pick = |written: &str, default: &'static str| {
            if written.is_empty() {
                default.to_owned()
            } else {
                written.to_owned()
            }
        };
        let variant = pick(&self.variant, own_default);
        let wanted_variant = pick(&wanted.variant, other_default);
        self.os == wanted.os
            && own == other
            && (wanted_variant.is_empty() || variant.is_empty() || variant == wanted_variant)
    }
}

/// Go's name for an architecture, and the variant that the bare name means.
fn normal_architecture(name: &str) -> (&str, &'static str) {
    match name {
        "x86_64" | "x86-64" | "amd64" => ("amd64", ""),
        "x86" | "i386" | "386" => ("386", ""),
        "aarch64" | "arm64" => ("arm64", "v8"),
        "armhf" | "arm" => ("arm", "v7"),
        "armel" => ("arm", "v6"),
        "powerpc64" => ("ppc64", ""),
        other => (other, ""),
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let bad = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(bad()),
        };
        Ok(Self {
            os: os.to_lowercase(),
            architecture: architecture.to_lowercase(),
            variant: variant.to_lowercase(),
            os_version: String::new(),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |text: &str| {
            if text.is_empty() {
                "unknown".to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(f, "{}/{}", part(&self.os), part(&self.architecture))?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_default_as_in_containerd() {
        let platform = |text: &str| text.parse::<Platform>().expect("a platform");
        let table = [
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/aarch64/v8", true),
            ("linux/arm/v6", "linux/arm", false),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/amd64", "linux/x86_64", true),
            ("linux/amd64", "windows/amd64", false),
        ];
        for (image, wanted, fits) in table {
            assert_eq!(
                platform(image).satisfies(&platform(wanted)),
                fits,
                "{image} for {wanted}"
            );
        }
        for bad in ["linux", "", "/amd64", "a/b/c/d", "linux/"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
