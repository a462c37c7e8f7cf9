//! Picking images out of an archive: by reference, by ID, by position, by platform.
//!
//! Long: what a selector may be and what it finds are one list of rules.

use std::fmt;
use std::str::FromStr;

use super::model::{Image, ImageSet};
use super::reference::{Name, Reference};
use crate::base::digest::{ContainerdId, Digest};
use crate::document::{Fit, Platform, WantedPlatform};

/// The shortest prefix of an ID that is taken for one, in hex digits.
const PREFIX_MIN: usize = 4;

/// What an `IMAGE` argument asks for.
///
/// ```
/// use imgtar::Selector;
///
/// assert_eq!("@2".parse(), Ok(Selector::Position(2)));
/// assert_eq!("app:1.2".parse(), Ok(Selector::Called("app:1.2".to_owned())));
/// assert!("@two".parse::<Selector>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The image at this place of the archive, counted from 0: `@N`.
    Position(usize),
    /// What is called so: a reference, an ID of an image (its own or the one in a containerd store) or a
    /// prefix of either, or the bare name of an image in an OCI image layout.
    Called(String),
}

/// Why no image can be picked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing in the archive is called so.
    #[error("the archive holds no image `{wanted}`")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What the archive holds, for people.
        candidates: Vec<String>,
        /// The names that the archive holds of the same repository: other tags.
        tags: Vec<String>,
    },
    /// The archive holds no image: only artifacts, or names what is not in it.
    #[error("the archive holds no image")]
    NoImage,
    /// Several images match.
    #[error("`{wanted}` matches {} images", .candidates.len())]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Those that match, for people.
        candidates: Vec<String>,
    },
    /// The archive holds several images, and none was named.
    #[error("the archive holds {} images; name one", .candidates.len())]
    Several {
        /// Those that there are, for people.
        candidates: Vec<String>,
    },
    /// One image for several platforms, none of them asked for, and none taken on its own.
    #[error(
        "the archive holds {what} for {} platforms; choose the one to write",
        .platforms.len()
    )]
    Platforms {
        /// The image, for people.
        what: String,
        /// The platforms.
        platforms: Vec<Platform>,
        /// The images, for people.
        candidates: Vec<String>,
    },
    /// No image is for the platform that was asked for.
    #[error("the archive holds no image for {wanted}")]
    NoPlatform {
        /// The platform.
        wanted: WantedPlatform,
        /// What the archive holds, for people.
        candidates: Vec<String>,
    },
    /// `@N` counts beyond the last image.
    #[error("the archive has no image `@{position}`: it holds {count}, counted from @0")]
    OutOfRange {
        /// What was asked for.
        position: usize,
        /// How many there are.
        count: usize,
    },
    /// `@` stands before something that is not a number.
    #[error("`{0}` is not a position: `@0` is the first image")]
    Position(String),
}

impl FromStr for Selector {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        match text.strip_prefix('@') {
            None => Ok(Self::Called(text.to_owned())),
            Some(digits) => {
                let position = digits.parse();
                let position = position.map_err(|_| SelectError::Position(text.to_owned()))?;
                Ok(Self::Position(position))
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "@{position}"),
            Self::Called(text) => f.write_str(text),
        }
    }
}

/// The images that are called `text`. Several only if they are platforms of one name, or share an ID
/// prefix; whether that is too many is for the caller to decide.
fn called<'s>(set: &'s ImageSet, text: &str) -> Vec<&'s Image> {
    let images = || set.images.iter();
    let by_name: Vec<&Image> = images().filter(|image| is_name_of(image, text)).collect();
    match (by_name.is_empty(), id_prefix(text)) {
        (true, Some(prefix)) => images()
            .filter(|image| is_id_of(set, image, &prefix))
            .collect(),
        _ => by_name,
    }
}

fn is_name_of(image: &Image, text: &str) -> bool {
    let wanted = text.parse::<Reference>().ok().map(Reference::or_latest);
    image.names.iter().any(|name| match name {
        Name::Reference(reference) => Some(reference.clone().or_latest()) == wanted,
        Name::Bare(bare) => bare == text,
    })
}

/// How many hex digits a SHA-256 has.
const SHA256_DIGITS: usize = 64;

/// The hex digits that IDs may begin with, if `text` looks like a prefix of one.
fn id_prefix(text: &str) -> Option<String> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    let hex = prefix.len() >= PREFIX_MIN && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| prefix.to_ascii_lowercase())
}

/// Whether an ID of the image begins with `prefix`. An image in an index has three: its own, that of its
/// manifest and that of the index.
fn is_id_of(set: &ImageSet, image: &Image, prefix: &str) -> bool {
    let manifest = image.manifest.iter();
    let manifest = manifest.flat_map(|m| [Some(&m.descriptor.digest), m.index.as_ref()]);
    let upgraded = image.upgraded_ids().into_iter();
    let upgraded = upgraded.flat_map(|ids| [ids.id.digest(), ids.before_25.digest()]);
    let ids = image.identity.encoded().into_iter();
    let ids = ids.chain(upgraded.map(Digest::encoded));
    let mut ids = ids.chain(manifest.flatten().map(Digest::encoded));
    ids.any(|id| id.starts_with(prefix)) || containerd_fits(set, image, prefix).is_some()
}

/// What a containerd store calls the image, if that begins with `prefix`.
fn containerd_fits(set: &ImageSet, image: &Image, prefix: &str) -> Option<ContainerdId> {
    let name = set.containerd_name(image);
    let id = name.map(|name| name.id);
    id.filter(|id| id.digest().encoded().starts_with(prefix))
}

/// Who picks the platform of an image for several, where none was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// The machine: its own platform is taken if there is an image for it. For looking at images; whoever
    /// takes it says so, since another machine takes another one.
    Host,
    /// Nobody: it is an error. For whatever is written, which must not depend on the machine.
    Refuse,
}

/// The images that were picked.
#[derive(Clone, Debug)]
pub struct Picked<'s> {
    /// The images.
    pub images: Vec<&'s Image>,
    /// The platforms that the only one of [`images`](Self::images) was picked from because this machine has
    /// its platform; empty if nothing was left to the machine.
    pub by_host_from: Vec<Platform>,
}

impl<'s> Picked<'s> {
    fn plainly(images: Vec<&'s Image>) -> Self {
        Self {
            images,
            by_host_from: Vec::new(),
        }
    }
}

impl ImageSet {
    /// Whether `selector` can be a prefix of an ID, and is not the name of an image. What a containerd store
    /// calls the images is to be known then, also where members have to be hashed for it
    /// ([`crate::layer::hash_members`]): otherwise images are not found by that ID.
    pub fn is_asked_for_id(&self, selector: &Selector) -> bool {
        match selector {
            Selector::Position(_) => false,
            Selector::Called(text) => {
                let Some(prefix) = id_prefix(text) else {
                    return false;
                };
                // Two digests do not have all digits in common.
                let is_whole = prefix.len() == SHA256_DIGITS;
                let is_known =
                    |image| is_name_of(image, text) || is_whole && is_id_of(self, image, &prefix);
                !self.images.iter().any(is_known)
            }
        }
    }

    /// The one image that `selector` picks, and `platform` where it is an image for several. The answer
    /// does not depend on the machine that asks.
    ///
    /// ```
    /// use imgtar::Options;
    ///
    /// let archive = imgtar::open("testdata/engines/docker20-multi.tar".as_ref(), &Options::default())?;
    /// let images = archive.images()?;
    /// let image = images.select(&"imgtar-testdata/classic:1".parse()?, None)?;
    /// assert_eq!(image.layers.len(), 2);
    /// assert!(images.select(&"nothing:1".parse()?, None).is_err());
    /// # Ok::<(), imgtar::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SelectError`] if no image fits, or if several do.
    pub fn select(
        &self,
        selector: &Selector,
        platform: Option<&WantedPlatform>,
    ) -> Result<&Image, SelectError> {
        let picked = self.pick_one(Some(selector), platform, Unasked::Refuse);
        picked.map(|(image, _)| image)
    }

    /// The only image of the archive, or its only one for `platform`.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if there is none, or if there are several.
    pub fn only(&self, platform: Option<&WantedPlatform>) -> Result<&Image, SelectError> {
        let picked = self.pick_one(None, platform, Unasked::Refuse);
        picked.map(|(image, _)| image)
    }

    /// The images that a command should show: all, or those that `selector` and `platform` pick. One name
    /// for several platforms means that of the host.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if nothing fits, or if an ID prefix fits several images.
    pub fn pick(
        &self,
        selector: Option<&Selector>,
        platform: Option<&WantedPlatform>,
    ) -> Result<Picked<'_>, SelectError> {
        let fitting = self.fitting(selector, platform)?;
        match selector {
            Some(_) if platform.is_none() && fitting.len() > 1 => {
                one_platform(self, fitting, selector, Unasked::Host)
            }
            _ => Ok(Picked::plainly(fitting)),
        }
    }

    /// The image that a command should work on: the one that `selector` and `platform` pick, else the
    /// only one, else what `unasked` says of one image for several platforms.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if nothing fits, or if several images do.
    pub fn pick_one(
        &self,
        selector: Option<&Selector>,
        platform: Option<&WantedPlatform>,
        unasked: Unasked,
    ) -> Result<(&Image, Vec<Platform>), SelectError> {
        let fitting = self.fitting(selector, platform)?;
        match fitting[..] {
            [image] => return Ok((image, Vec::new())),
            [] => return Err(SelectError::NoImage),
            _ => {}
        }
        let picked = one_platform(self, fitting, selector, unasked)?;
        Ok((picked.images[0], picked.by_host_from))
    }

    /// All images that `selector` and `platform` fit, of several platforms those too; at least one image.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if nothing fits, or if an ID prefix fits several images that have nothing in common.
    pub fn pick_all(
        &self,
        selector: Option<&Selector>,
        platform: Option<&WantedPlatform>,
    ) -> Result<Vec<&Image>, SelectError> {
        let fitting = self.fitting(selector, None)?;
        let index = |image: &Image| image.manifest.as_ref().and_then(|m| m.index.clone());
        if let (Some(selector @ Selector::Called(text)), [first, rest @ ..]) =
            (selector, &fitting[..])
        {
            let is_named = || fitting.iter().any(|image| is_name_of(image, text));
            let is_one = |image: &&&Image| {
                image.identity == first.identity
                    || index(image).is_some() && index(image) == index(first)
            };
            if !is_named() && rest.iter().filter(is_one).count() < rest.len() {
                return Err(SelectError::Ambiguous {
                    wanted: selector.to_string(),
                    candidates: fitting_candidates(self, &fitting, selector),
                });
            }
        }
        match platform {
            None => Ok(fitting),
            Some(_) => self.fitting(selector, platform),
        }
    }

    /// Whatever `selector` and `platform` fit; at least one image.
    fn fitting(
        &self,
        selector: Option<&Selector>,
        platform: Option<&WantedPlatform>,
    ) -> Result<Vec<&Image>, SelectError> {
        let fitting: Vec<&Image> = match selector {
            None => self.images.iter().collect(),
            Some(Selector::Position(position)) => {
                let count = self.images.len();
                let out = SelectError::OutOfRange {
                    position: *position,
                    count,
                };
                vec![self.images.get(*position).ok_or(out)?]
            }
            Some(Selector::Called(text)) => called(self, text),
        };
        if let (Some(selector), true) = (selector, fitting.is_empty()) {
            let wanted = selector.to_string();
            let tags = other_tags(&self.images, &wanted);
            return Err(SelectError::Unknown {
                wanted,
                candidates: candidates(&self.images),
                tags,
            });
        }
        let Some(wanted) = platform else {
            return Ok(fitting);
        };
        // `amd64` is the image without a variant where there is one, and not `amd64/v2` as well.
        let fits = |at_least: Fit| -> Vec<&Image> {
            let images = fitting.iter().copied();
            images
                .filter(|image| wanted.fit(&image.platform) >= at_least)
                .collect()
        };
        let found = Some(fits(Fit::Exact)).filter(|exact| !exact.is_empty());
        let found = found.unwrap_or_else(|| fits(Fit::Loose));
        if found.is_empty() {
            return Err(SelectError::NoPlatform {
                wanted: wanted.clone(),
                candidates: candidates(fitting),
            });
        }
        Ok(found)
    }
}

/// The names of images that differ from what is wanted in their tag alone, each once.
fn other_tags(images: &[Image], wanted: &str) -> Vec<String> {
    let Ok(wanted) = wanted.parse::<Reference>() else {
        return Vec::new();
    };
    let repository = wanted.familiar_repository();
    let mut tags = Vec::new();
    for name in images.iter().flat_map(|image| &image.names) {
        if let Name::Reference(reference) = name
            && reference.familiar_repository() == repository
        {
            tags.push(name.to_string());
        }
    }
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// One of several images, if they are one image for several platforms.
fn one_platform<'s>(
    set: &ImageSet,
    images: Vec<&'s Image>,
    selector: Option<&Selector>,
    unasked: Unasked,
) -> Result<Picked<'s>, SelectError> {
    // The host's platform decides between platforms of one image; different images are not.
    let is_one_image = images.windows(2).all(|pair| pair[0].names == pair[1].names)
        || matches!(selector, Some(Selector::Called(text)) if images.iter().all(|image| is_name_of(image, text)));
    let mut platforms: Vec<Platform> = Vec::new();
    for image in &images {
        if !image.platform.is_unknown() && !platforms.contains(&image.platform) {
            platforms.push(image.platform.clone());
        }
    }
    let told_apart = platforms.len() == images.len();
    match unasked {
        Unasked::Host if is_one_image => {
            let host = WantedPlatform::host();
            let of_host = |image: &&Image| host.fit(&image.platform) != Fit::No;
            let mut of_host = images.iter().copied().filter(of_host);
            if let (Some(image), None) = (of_host.next(), of_host.next()) {
                return Ok(Picked {
                    images: vec![image],
                    by_host_from: platforms,
                });
            }
        }
        Unasked::Refuse if is_one_image && told_apart => {
            let what = match (
                selector,
                images.first().and_then(|image| image.names.first()),
            ) {
                (Some(selector), _) => format!("`{selector}`"),
                (None, Some(name)) => format!("`{name}`"),
                (None, None) => "an image".to_owned(),
            };
            return Err(SelectError::Platforms {
                what,
                platforms,
                candidates: candidates(images),
            });
        }
        Unasked::Host | Unasked::Refuse => {}
    }
    Err(match selector {
        Some(selector) => SelectError::Ambiguous {
            wanted: selector.to_string(),
            candidates: fitting_candidates(set, &images, selector),
        },
        None => SelectError::Several {
            candidates: candidates(images),
        },
    })
}

/// The images that a selector fits, for people, with the ID that it fits where that is not the image's own.
fn fitting_candidates(set: &ImageSet, images: &[&Image], selector: &Selector) -> Vec<String> {
    let prefix = match selector {
        Selector::Called(text) => id_prefix(text),
        Selector::Position(_) => None,
    };
    let mut candidates = candidates(images.iter().copied());
    for (candidate, image) in candidates.iter_mut().zip(images) {
        let other = prefix.as_deref();
        let other = other.and_then(|prefix| containerd_fits(set, image, prefix));
        if let Some(id) = other {
            candidate.push_str(", in a containerd store ");
            candidate.push_str(id.short());
        }
    }
    candidates
}

/// Images for people, one a line.
pub(crate) fn candidates<'i>(images: impl IntoIterator<Item = &'i Image>) -> Vec<String> {
    images
        .into_iter()
        .map(|image| {
            let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "<none>".to_owned()
            } else {
                names.join(", ")
            };
            let platform = if image.platform.is_unknown() {
                String::new()
            } else {
                format!(", {}", image.platform)
            };
            format!(
                "@{} {} ({names}{platform})",
                image.position,
                image.loaded_identity().short()
            )
        })
        .collect()
}
