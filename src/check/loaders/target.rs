//! The engines that are asked, and what each would make of an archive.

use super::Refusal;

/// A program that loads image archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoaderEngine {
    /// `docker load`.
    Docker,
    /// containerd's `ctr images import`: what kind, k3s and Kubernetes' nodes load with.
    Ctr,
    /// `podman load`.
    Podman,
    /// `skopeo copy`.
    Skopeo,
}

/// Where an engine keeps its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoaderStore {
    /// Docker's own, on overlay2: what upgraded daemons keep.
    Classic,
    /// containerd's: the default of Docker 29.
    Containerd,
    /// podman on overlay, its usual driver.
    Overlay,
    /// podman on vfs.
    Vfs,
}

/// An engine as it is installed: what one prediction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoaderTarget {
    /// The program.
    pub engine: LoaderEngine,
    /// Its store, where there is a choice.
    pub store: Option<LoaderStore>,
    /// The version whose behaviour was measured.
    pub version: &'static str,
    /// The options that it is started with, where they make a difference.
    pub options: Option<&'static str>,
}

impl LoaderEngine {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Ctr => "ctr",
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
        }
    }
}

impl LoaderStore {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Containerd => "containerd",
            Self::Overlay => "overlay",
            Self::Vfs => "vfs",
        }
    }
}

impl LoaderTarget {
    /// The names by which one or several targets are asked for.
    pub const NAMES: [&'static str; 10] = [
        "docker",
        "docker-classic",
        "docker-containerd",
        "ctr",
        "containerd",
        "ctr-all-platforms",
        "kind",
        "podman",
        "podman-vfs",
        "skopeo",
    ];

    /// Whether `name`, one of [`Self::NAMES`], means this target: every version of it.
    pub fn is_called(&self, name: &str) -> bool {
        let all_platforms = self.options.is_some();
        match self.engine {
            LoaderEngine::Docker => match self.store {
                Some(LoaderStore::Containerd) => matches!(name, "docker" | "docker-containerd"),
                _ => matches!(name, "docker" | "docker-classic"),
            },
            LoaderEngine::Ctr if all_platforms => matches!(name, "ctr-all-platforms" | "kind"),
            LoaderEngine::Ctr => matches!(name, "ctr" | "containerd"),
            LoaderEngine::Podman if self.store == Some(LoaderStore::Vfs) => name == "podman-vfs",
            LoaderEngine::Podman => name == "podman",
            LoaderEngine::Skopeo => name == "skopeo",
        }
    }
}

/// What an engine makes of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends with success, and its images can be run.
    Loads,
    /// It ends with success where the layers are loaded that a thin archive leaves out. Elsewhere it fails, for this
    /// reason.
    LoadsWithBase(Refusal),
    /// It ends with success, and an image cannot be run.
    LoadsBroken(Refusal),
    /// It fails.
    Refuses(Refusal),
    /// It ends with success, and there is no image.
    MakesNothing,
    /// Nothing is predicted, because it would take too much.
    Unknown(Refusal),
}

impl Verdict {
    /// Whether the engine is known to end with success, whatever becomes of the images.
    pub fn accepts(&self) -> bool {
        !matches!(
            self,
            Self::Refuses(_) | Self::Unknown(_) | Self::LoadsWithBase(_)
        )
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loads => "loads",
            Self::LoadsWithBase(_) => "loads-with-base",
            Self::LoadsBroken(_) => "loads-broken",
            Self::Refuses(_) => "refuses",
            Self::MakesNothing => "makes-nothing",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is not simply [`Self::Loads`].
    pub fn reason(&self) -> Option<&Refusal> {
        match self {
            Self::LoadsWithBase(why)
            | Self::LoadsBroken(why)
            | Self::Refuses(why)
            | Self::Unknown(why) => Some(why),
            Self::Loads | Self::MakesNothing => None,
        }
    }
}

/// What happens to one image in an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFate {
    /// Whether it is there afterwards, and can be run.
    pub loaded: bool,
    /// What it is called there, if only to be removed; `None` if it is not there, or only has its ID.
    pub name: Option<String>,
    /// Why it is not there, or a remark about its name.
    pub reason: Option<Refusal>,
}

/// The prediction for one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// The engine.
    pub target: LoaderTarget,
    /// What it makes of the archive.
    pub verdict: Verdict,
    /// What becomes of each image, in the order of the archive's images.
    pub images: Vec<ImageFate>,
}

/// What is noted of the images while an engine's rules are gone through.
pub(super) struct Sheet {
    images: Vec<ImageFate>,
    broken: Option<Refusal>,
    /// Why an image for another platform cannot be run, which counts where no other can.
    lost: Option<Refusal>,
    /// Whether something is there afterwards that is not an image.
    other: bool,
    /// What the engine says of the first layer that was left out of a thin archive, where it is not loaded.
    without_base: Option<Refusal>,
}

impl Sheet {
    pub(super) fn new(images: usize) -> Self {
        let unknown = ImageFate {
            loaded: false,
            name: None,
            reason: None,
        };
        Self {
            images: vec![unknown; images],
            broken: None,
            lost: None,
            other: false,
            without_base: None,
        }
    }

    /// The image is loaded under this name.
    pub(super) fn loaded(&mut self, position: usize, name: Named) {
        if let Some(fate) = self.images.get_mut(position) {
            let first = !fate.loaded || fate.name.is_none();
            fate.loaded = true;
            if first {
                fate.name = name.name;
                fate.reason = name.but.map(Refusal::Because);
            }
        }
    }

    /// The image is not loaded, for a reason that is not a failure.
    pub(super) fn passed_over(&mut self, position: usize, why: &str) {
        if let Some(fate) = self.images.get_mut(position)
            && !fate.loaded
        {
            fate.reason = Some(Refusal::Because(why.to_owned()));
        }
    }

    /// The engine has an image for another platform than ours and cannot run it, which matters only if there is
    /// none for ours.
    pub(super) fn lost(&mut self, position: usize, named: &Named, why: Refusal) {
        self.other = true;
        self.unusable(Some(position), named, &why);
        self.lost.get_or_insert(why);
    }

    fn unusable(&mut self, position: Option<usize>, named: &Named, why: &Refusal) {
        if let Some(fate) = position.and_then(|position| self.images.get_mut(position)) {
            fate.loaded = false;
            fate.name.clone_from(&named.name);
            fate.reason = Some(why.clone());
        }
    }

    /// The engine has the image under this name and cannot run it. `None` is for something that is not one of
    /// the archive's images.
    pub(super) fn broken(&mut self, position: Option<usize>, named: &Named, why: Refusal) {
        self.other = true;
        self.unusable(position, named, &why);
        // A known reason counts more than an unknown one.
        let known = |why: &Refusal| !matches!(why, Refusal::Unpredicted(_));
        if !self.broken.as_ref().is_some_and(known) && (self.broken.is_none() || known(&why)) {
            self.broken = Some(why);
        }
    }

    /// A layer was left out of a thin archive, and is taken from what was loaded before; without that the engine
    /// says this.
    pub(super) fn needs_base(&mut self, without: Refusal) {
        self.without_base.get_or_insert(without);
    }

    /// Something is loaded that is not an image.
    pub(super) fn other(&mut self) {
        self.other = true;
    }

    /// Of images with one name, one keeps it.
    pub(super) fn one_name_each(&mut self, last_wins: bool) {
        let mut holder = std::collections::HashMap::new();
        let mut lost = Vec::new();
        for (position, fate) in self.images.iter().enumerate() {
            let Some(name) = fate.name.as_ref().filter(|_| fate.loaded) else {
                continue;
            };
            match holder.entry(name.clone()) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(position);
                }
                std::collections::hash_map::Entry::Occupied(mut taken) if last_wins => {
                    lost.push(taken.insert(position));
                }
                std::collections::hash_map::Entry::Occupied(_) => lost.push(position),
            }
        }
        for position in lost {
            let fate = &mut self.images[position];
            if let Some(name) = fate.name.take() {
                let why = format!("another image of the archive gets the name {name}");
                fate.reason = Some(Refusal::Because(why));
            }
        }
    }

    /// The verdict, once the rules have been gone through.
    pub(super) fn close(mut self, target: LoaderTarget, outcome: super::Outcome) -> Loader {
        let runs = self.images.iter().any(|fate| fate.loaded);
        let something = self.other || runs;
        let lost = self.lost.filter(|_| !runs);
        let verdict = match (outcome, self.broken.or(lost)) {
            (Err(why), _) => {
                // The same words for each, but not for very many.
                const MOST: usize = 1_000;
                for fate in self.images.iter_mut().take(MOST) {
                    if !fate.loaded && fate.reason.is_none() {
                        fate.reason = Some(why.clone());
                    }
                }
                match why {
                    Refusal::Unpredicted(_) => Verdict::Unknown(why),
                    why => Verdict::Refuses(why),
                }
            }
            (Ok(()), Some(why @ Refusal::Unpredicted(_))) => Verdict::Unknown(why),
            (Ok(()), Some(why)) => Verdict::LoadsBroken(why),
            (Ok(()), None) if something => match self.without_base {
                Some(why) => Verdict::LoadsWithBase(why),
                None => Verdict::Loads,
            },
            (Ok(()), None) => Verdict::MakesNothing,
        };
        Loader {
            target,
            verdict,
            images: self.images,
        }
    }
}

/// What an image is called in an engine, and a remark about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) name: Option<String>,
    pub(super) but: Option<String>,
}

impl From<String> for Named {
    fn from(name: String) -> Self {
        Self {
            name: Some(name),
            but: None,
        }
    }
}
