//! Engines that answer alike, in one line each.

use super::verify_loaders::VerifyLoader;

/// Several versions of one engine that answer alike.
#[derive(Clone, Debug)]
pub struct EngineLine<'l> {
    /// The newest of them.
    pub loader: &'l VerifyLoader,
    /// The versions, the oldest first.
    pub versions: Vec<&'static str>,
    /// Whether `ctr images import --all-platforms` answers like `ctr images import`.
    pub with_all_platforms: bool,
}

impl<'l> EngineLine<'l> {
    /// Puts together what has the same verdict, and, with `reasons`, gives the same reason. podman's driver for
    /// tests is left out where it makes no difference.
    pub fn all(loaders: &'l [VerifyLoader], reasons: bool) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for loader in loaders {
            let overlay = |other: &&VerifyLoader| {
                other.engine == loader.engine && other.store == Some("overlay")
            };
            let usual = loaders.iter().find(overlay);
            if loader.store == Some("vfs")
                && usual.is_some_and(|usual| usual.verdict == loader.verdict)
            {
                continue;
            }
            let alike = |one: &VerifyLoader| {
                (one.engine, one.store, one.verdict)
                    == (loader.engine, loader.store, loader.verdict)
                    && (one.reason == loader.reason || !reasons)
            };
            let known = all
                .iter_mut()
                .find(|known| alike(known.loader) && known.loader.options == loader.options);
            match known {
                Some(known) => {
                    known.loader = loader;
                    known.versions.push(loader.version);
                }
                None => all.push(Self {
                    loader,
                    versions: vec![loader.version],
                    with_all_platforms: false,
                }),
            }
        }
        Self::join_options(all)
    }

    /// Puts lines together that differ in nothing but the options of the engine.
    fn join_options(lines: Vec<Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::with_capacity(lines.len());
        for line in lines {
            let plain = all.iter_mut().find(|plain| {
                line.loader.options.is_some()
                    && plain.loader.options.is_none()
                    && plain.loader.engine == line.loader.engine
                    && plain.loader.verdict == line.loader.verdict
                    && plain.loader.reason == line.loader.reason
                    && plain.versions == line.versions
            });
            match plain {
                Some(plain) => plain.with_all_platforms = true,
                None => all.push(line),
            }
        }
        all
    }

    /// Engine, versions, store and options.
    pub fn label(&self) -> String {
        let store = match self.loader.store {
            Some("classic") => ", overlay2 store",
            Some("containerd") => ", containerd store",
            Some("vfs") => " on vfs",
            _ => "",
        };
        let options = match self.loader.options {
            Some(options) => format!(" {options}"),
            None if self.with_all_platforms => ", also --all-platforms".to_owned(),
            None => String::new(),
        };
        format!("{}{store}{options}", self.versioned())
    }

    /// The same for a sentence, with versions or without.
    pub(super) fn name(&self, with_versions: bool) -> String {
        let engine = if with_versions {
            self.versioned()
        } else {
            self.engine().to_owned()
        };
        let store = match self.loader.store {
            Some("classic") => " (overlay2 store)",
            Some("containerd") => " (containerd store)",
            Some("vfs") => " (vfs)",
            _ => "",
        };
        let options = self.loader.options.map(|options| format!(" {options}"));
        format!("{engine}{store}{}", options.unwrap_or_default())
    }

    fn engine(&self) -> &'static str {
        match self.loader.engine {
            "docker" => "Docker",
            other => other,
        }
    }

    fn versioned(&self) -> String {
        format!("{} {}", self.engine(), self.versions.join(" and "))
    }
}
