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

    /// The platform of new images that nobody asked another for: Linux, as it is with engines on other
    /// systems too, and the architecture that this program runs on.
    pub fn of_new_images() -> Self {
        Self {
            os: "linux".to_owned(),
            ..Self::host()
        }
    }

    /// Reads what a new image is to be for, as `docker import --platform` does: `os`, `architecture`,
    /// `os/architecture` or `os/architecture/variant`, where one alone is completed from
    /// [`of_new_images`](Self::of_new_images) and other names of an architecture become Go's
    /// (containerd `platforms`).
    ///
    /// # Errors
    ///
    /// [`PlatformError`] if it is none of these.
    pub fn for_new_image(text: &str) -> Result<Self, PlatformError> {
        const SYSTEMS: [&str; 15] = [
            "aix",
            "android",
            "darwin",
            "dragonfly",
            "freebsd",
            "illumos",
            "ios",
            "js",
            "linux",
            "netbsd",
            "openbsd",
            "plan9",
            "solaris",
            "wasip1",
            "windows",
        ];
        let lower = text.to_lowercase();
        let mut platform = match lower.as_str() {
            "macos" => Self {
                os: "darwin".to_owned(),
                ..Self::of_new_images()
            },
            os if SYSTEMS.contains(&os) => Self {
                os: lower,
                ..Self::of_new_images()
            },
            _ if !lower.contains('/') && is_architecture(&lower) => Self {
                os: "linux".to_owned(),
                architecture: lower,
                ..Self::default()
            },
            _ => text.parse()?,
        };
        let (name, implied) = normal_architecture(&platform.architecture);
        if platform.variant.is_empty() && name == "arm" && implied != "v7" {
            implied.clone_into(&mut platform.variant);
        }
        if matches!(name, "arm" | "arm64")
            && platform.variant.starts_with(|c: char| c.is_ascii_digit())
        {
            platform.variant.insert(0, 'v');
        }
        platform.architecture = name.to_owned();
        if platform.os == "macos" {
            "darwin".clone_into(&mut platform.os);
        }
        Ok(platform)
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

/// Whether Go has an architecture of this name, or containerd knows it by it.
fn is_architecture(name: &str) -> bool {
    const GO: [&str; 14] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
        "ppc64le", "riscv64", "s390x", "wasm",
    ];
    GO.contains(&normal_architecture(name).0)
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

    /// What Docker 26.1 wrote into the config for these.
    #[test]
    fn new_images_are_for_what_docker_says() {
        let host = Platform::of_new_images().architecture;
        let table = [
            ("linux", format!("linux/{host}")),
            ("arm64", "linux/arm64".to_owned()),
            ("armel", "linux/arm/v6".to_owned()),
            ("linux/arm64", "linux/arm64".to_owned()),
            ("linux/arm64/v8", "linux/arm64/v8".to_owned()),
            ("linux/arm64/8", "linux/arm64/v8".to_owned()),
            ("linux/arm/7", "linux/arm/v7".to_owned()),
            ("linux/arm", "linux/arm".to_owned()),
            ("linux/armhf", "linux/arm".to_owned()),
            ("linux/armel", "linux/arm/v6".to_owned()),
            ("linux/aarch64", "linux/arm64".to_owned()),
            ("LINUX/x86_64", "linux/amd64".to_owned()),
            ("linux/i386", "linux/386".to_owned()),
            ("linux/amd64/v2", "linux/amd64/v2".to_owned()),
            ("linux/foo/bar", "linux/foo/bar".to_owned()),
        ];
        for (text, want) in table {
            let platform = Platform::for_new_image(text).expect(text);
            assert_eq!(platform.to_string(), want, "{text}");
        }
        for bad in ["", "nonsense", "linux/a/b/c", "linux/", "/amd64"] {
            assert!(Platform::for_new_image(bad).is_err(), "{bad}");
        }
    }

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
