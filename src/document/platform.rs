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
    /// The version of Windows that a Windows image needs.
    pub os_version: String,
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// It has another form, or names an unknown architecture.
    #[error(
        "`{0}` is not a platform: write os/architecture or os/architecture/variant, such as linux/arm64 or linux/arm/v7, or the architecture alone"
    )]
    Form(String),
    /// It names an operating system and no architecture.
    #[error("`{0}` is an operating system alone: add the architecture, such as {0}/amd64")]
    SystemAlone(String),
}

/// A platform that is asked for: `os/architecture[/variant]`, or `architecture[/variant]` for any
/// operating system. Other names of an architecture become Go's, as in containerd's `platforms`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedPlatform {
    os: Option<String>,
    architecture: String,
    /// Empty if none was asked for.
    variant: String,
}

/// How well an image fits a platform that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is for another platform.
    No,
    /// One of the two leaves the variant out.
    Loose,
    /// They are the same.
    Exact,
}

impl WantedPlatform {
    /// The platform that this program runs on.
    pub fn host() -> Self {
        let Platform {
            os, architecture, ..
        } = Platform::host();
        Self {
            os: Some(os),
            architecture,
            variant: String::new(),
        }
    }

    /// How well an image for `platform` fits. `arm64` alone means `v8` and `arm` alone `v7`, and `amd64/v1`
    /// is `amd64`, as in containerd.
    pub fn fit(&self, platform: &Platform) -> Fit {
        let os = platform.os.to_lowercase();
        let (own, variant) = canonical(&platform.architecture, &platform.variant);
        let (wanted, wanted_variant) = canonical(&self.architecture, &self.variant);
        if own != wanted || self.os.as_ref().is_some_and(|wanted| *wanted != os) {
            Fit::No
        } else if variant == wanted_variant {
            Fit::Exact
        } else if variant.is_empty() || wanted_variant.is_empty() {
            Fit::Loose
        } else {
            Fit::No
        }
    }
}

impl FromStr for WantedPlatform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let bad = || PlatformError::Form(text.to_owned());
        let lower = text.to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        let (os, architecture, variant) = match parts[..] {
            [os] if is_system(os) => return Err(PlatformError::SystemAlone(text.to_owned())),
            [architecture] if is_architecture(architecture) => (None, architecture, ""),
            [architecture, variant] if is_architecture(architecture) => {
                (None, architecture, variant)
            }
            [os, architecture] => (Some(os), architecture, ""),
            [os, architecture, variant] => (Some(os), architecture, variant),
            _ => return Err(bad()),
        };
        Ok(Self {
            os: os.map(|os| if os == "macos" { "darwin" } else { os }.to_owned()),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        })
    }
}

impl fmt::Display for WantedPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(os) = &self.os {
            write!(f, "{os}/")?;
        }
        f.write_str(&self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

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

    /// The default platform of new images: Linux, as it is with engines on other
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
        let lower = text.to_lowercase();
        let mut platform = match lower.as_str() {
            "macos" => Self {
                os: "darwin".to_owned(),
                ..Self::of_new_images()
            },
            os if is_system(os) => Self {
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
}

/// Whether Go has an operating system of this name (containerd `platforms`, `isKnownOS`).
fn is_system(name: &str) -> bool {
    const GO: [&str; 19] = [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "macos",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
        "zos",
    ];
    GO.contains(&name)
}

/// Whether Go has an architecture of this name, or containerd knows it by it (`isKnownArch`).
fn is_architecture(name: &str) -> bool {
    const GO: [&str; 24] = [
        "386",
        "amd64",
        "amd64p32",
        "arm",
        "arm64",
        "arm64be",
        "armbe",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mips64p32",
        "mips64p32le",
        "mipsle",
        "ppc",
        "ppc64",
        "ppc64le",
        "riscv",
        "riscv64",
        "s390",
        "s390x",
        "sparc",
        "sparc64",
        "wasm",
    ];
    GO.contains(&normal_architecture(name).0)
}

/// Go's name for an architecture and the variant in full, for comparing (`normalizeArch`).
fn canonical(architecture: &str, variant: &str) -> (String, String) {
    let (lower, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (name, implied) = normal_architecture(&lower);
    let variant = match (name, variant.as_str()) {
        ("amd64", "v1" | "1") => "",
        ("arm" | "arm64", "") => implied,
        ("arm" | "arm64", number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
            return (name.to_owned(), format!("v{number}"));
        }
        (_, variant) => variant,
    };
    (name.to_owned(), variant.to_owned())
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
        let bad = || PlatformError::Form(text.to_owned());
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
    fn what_is_asked_for_is_compared_as_in_containerd() {
        let image = |text: &str| text.parse::<Platform>().expect("a platform");
        let table = [
            ("linux/arm64/v8", "linux/arm64", Fit::Exact),
            ("linux/arm64", "linux/aarch64/v8", Fit::Exact),
            ("linux/arm64", "arm64/8", Fit::Exact),
            ("linux/arm64", "AArch64", Fit::Exact),
            ("linux/ARM64", "arm64", Fit::Exact),
            ("windows/arm64", "arm64", Fit::Exact),
            ("linux/arm64/v9", "arm64", Fit::No),
            ("linux/arm/v6", "linux/arm", Fit::No),
            ("linux/arm/v6", "armel", Fit::Exact),
            ("linux/arm/v7", "linux/arm", Fit::Exact),
            ("linux/arm/v7", "armhf", Fit::Exact),
            ("linux/arm", "arm/v7", Fit::Exact),
            ("linux/arm/7", "arm/v7", Fit::Exact),
            ("linux/amd64", "linux/x86_64", Fit::Exact),
            ("linux/amd64", "X86-64", Fit::Exact),
            ("linux/amd64", "amd64/v1", Fit::Exact),
            ("linux/amd64/v2", "amd64", Fit::Loose),
            ("linux/amd64", "amd64/v3", Fit::Loose),
            ("linux/amd64/v2", "amd64/v3", Fit::No),
            ("linux/386", "i386", Fit::Exact),
            ("linux/amd64", "windows/amd64", Fit::No),
            ("darwin/arm64", "macos/arm64", Fit::Exact),
            ("linux/amd64", "arm64", Fit::No),
            ("linux/foo", "linux/foo", Fit::Exact),
        ];
        for (platform, wanted, fit) in table {
            let wanted: WantedPlatform = wanted.parse().expect(wanted);
            assert_eq!(wanted.fit(&image(platform)), fit, "{platform} for {wanted}");
        }
        assert_eq!(
            "linux".parse::<WantedPlatform>(),
            Err(PlatformError::SystemAlone("linux".to_owned()))
        );
        for bad in [
            "",
            "foo",
            "/amd64",
            "a/b/c/d",
            "linux/",
            "arm64/",
            "linux//arm64",
        ] {
            let wanted = bad.parse::<WantedPlatform>();
            assert_eq!(wanted, Err(PlatformError::Form(bad.to_owned())));
        }
        for bad in ["linux", "", "/amd64", "a/b/c/d", "linux/"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
