//! Images from before Docker 1.10: chains of directories.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::super::docker::{RepositoryTag, read_repositories};
use super::super::model::{ConfigBlob, Identity, Image, ImageSet, Layer, V1Document};
use super::super::reference::{Name, Reference};
use super::{LoadError, Loader, Unreadable};
use crate::archive::{Ending, Layout, LookupError, MemberName, V1Root};
use crate::base::digest::LegacyId;
use crate::base::problem::{Code, Problem};
use crate::document::v1::V1Json;
use crate::document::{Config, HistoryEntry};

/// One directory, read.
struct V1Node {
    id: String,
    directory: MemberName,
    document: Arc<V1Document>,
    json: V1Json,
}

impl Loader<'_> {
    /// Whether there are v1 images. Docker 1.10 to 24 wrote their files too, before `manifest.json`: an
    /// archive that has them, and neither an end nor names for them, was cut before it.
    pub(super) fn has_legacy(&self, roots: &[V1Root]) -> bool {
        let named = |root: &V1Root| {
            let repositories = root.directory.join(b"repositories");
            self.archive.find(repositories.as_bytes()).is_ok()
        };
        let is_marked = matches!(self.archive.ending(), Ending::Marked(_));
        !roots.is_empty() && (is_marked || roots.iter().any(named))
    }

    pub(super) fn legacy(&mut self, roots: &[V1Root]) -> Result<ImageSet, LoadError> {
        let mut images = Vec::new();
        for root in roots {
            let nodes = self.legacy_nodes(root)?;
            let tags = self.legacy_tags(root)?;
            self.legacy_images(&nodes, &tags, root, &mut images)?;
        }
        Ok(Self::set(Layout::DockerV1, images))
    }

    fn legacy_nodes(&mut self, root: &V1Root) -> Result<HashMap<String, V1Node>, LoadError> {
        let mut nodes = HashMap::new();
        for directory in &root.images {
            let member = directory.join(b"json");
            let document = match self.document(member.as_bytes())? {
                Ok(document) => document,
                Err(Unreadable::Lookup(why)) if self.lose(member.as_bytes(), &why) => continue,
                Err(fault) => {
                    self.report_v1(member.as_bytes(), &fault);
                    continue;
                }
            };
            match V1Json::read(&document.bytes) {
                Ok(json) => {
                    let id = String::from_utf8_lossy(directory.base()).into_owned();
                    if json.id != id {
                        let message =
                            "the image's json gives it an ID other than the name of its directory";
                        let problem =
                            Problem::warning(Code::ConfigInvalid, message).compared(&id, &json.id);
                        self.problems.push(problem.in_member(member.as_bytes()));
                    }
                    let directory = directory.clone();
                    nodes.insert(
                        id.clone(),
                        V1Node {
                            id,
                            directory,
                            document: Arc::new(V1Document {
                                raw: document.bytes,
                                has_parent: json.parent.is_some(),
                            }),
                            json,
                        },
                    );
                }
                Err(why) => self.report_v1(member.as_bytes(), &why.into()),
            }
        }
        Ok(nodes)
    }

    fn report_v1(&mut self, member: &[u8], fault: &Unreadable) {
        let message = format!("an image's json cannot be read: {fault}");
        self.problems
            .push(Problem::error(Code::ConfigInvalid, message).in_member(member));
    }

    fn legacy_tags(&mut self, root: &V1Root) -> Result<Vec<RepositoryTag>, LoadError> {
        let member = root.directory.join(b"repositories");
        let document = match self.document(member.as_bytes())? {
            Ok(document) => document,
            Err(Unreadable::Lookup(why)) if self.lose(member.as_bytes(), &why) => {
                return Ok(Vec::new());
            }
            Err(Unreadable::Lookup(LookupError::Absent { .. })) => {
                let message = "the archive has v1 images and no repositories file to name them; Docker refuses it";
                let problem = Problem::warning(Code::MemberMissing, message);
                self.problems.push(problem.in_member(member.as_bytes()));
                return Ok(Vec::new());
            }
            Err(why) => {
                self.report_names(&member, &why);
                return Ok(Vec::new());
            }
        };
        match read_repositories(&document.bytes) {
            Ok(tags) => Ok(tags),
            Err(why) => {
                self.report_names(&member, &why.into());
                Ok(Vec::new())
            }
        }
    }

    fn report_names(&mut self, member: &MemberName, why: &Unreadable) {
        let message = format!("repositories cannot be read, so the images have no names: {why}");
        let problem = Problem::error(Code::ManifestInvalid, message);
        self.problems.push(problem.in_member(member.as_bytes()));
    }

    /// The images of one root: what is tagged, in the order of the tags, then what no other image
    /// builds on.
    fn legacy_images(
        &mut self,
        nodes: &HashMap<String, V1Node>,
        tags: &[RepositoryTag],
        root: &V1Root,
        images: &mut Vec<Image>,
    ) -> Result<(), LoadError> {
        let parents: HashSet<&str> = nodes
            .values()
            .filter_map(|n| n.json.parent.as_deref())
            .collect();
        let mut tops: Vec<&str> = Vec::new();
        let mut names: HashMap<&str, Vec<Name>> = HashMap::new();
        for tag in tags {
            if !nodes.contains_key(&tag.id) {
                if self.lose_directory(root, &tag.id) {
                    continue;
                }
                let message = format!(
                    "repositories gives {}:{} to an image that is not in the archive",
                    tag.repository, tag.tag
                );
                let member = root.directory.join(b"repositories");
                let problem =
                    Problem::error(Code::MemberMissing, message).compared(&tag.id, "absent");
                self.problems.push(problem.in_member(member.as_bytes()));
                continue;
            }
            let known = names.entry(&tag.id).or_insert_with(|| {
                tops.push(&tag.id);
                Vec::new()
            });
            known.push(legacy_name(tag));
        }
        let mut untagged: Vec<&str> = nodes
            .keys()
            .map(String::as_str)
            .filter(|id| !parents.contains(id) && !names.contains_key(id))
            .collect();
        untagged.sort_unstable();
        tops.extend(untagged);
        if tops.is_empty() && !nodes.is_empty() {
            let message = "the parents of the v1 images form a circle, so that none is on top";
            self.problems
                .push(Problem::error(Code::ConfigInvalid, message));
        }
        for top in tops {
            let image = self.legacy_image(nodes, top, root, images.len())?;
            let names = names.remove(top).unwrap_or_default();
            images.push(Image { names, ..image });
        }
        Ok(())
    }

    /// Whether the directory of a v1 image was lost with the end of the archive; notes it, if so.
    fn lose_directory(&mut self, root: &V1Root, id: &str) -> bool {
        let json = root.directory.join(id.as_bytes()).join(b"json");
        let found = self.archive.find(json.as_bytes());
        found.is_err_and(|why| self.lose(json.as_bytes(), &why))
    }

    /// The v1 images that one is built on and itself, the base first, as far as they are there.
    fn chain<'n>(
        &mut self,
        nodes: &'n HashMap<String, V1Node>,
        top: &'n str,
        root: &V1Root,
        position: usize,
    ) -> Vec<&'n V1Node> {
        let mut chain: Vec<&V1Node> = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(top);
        while let Some(id) = next {
            let below = chain.last().map(|n| n.directory.join(b"json"));
            let below = below.as_ref().map_or(&b""[..], MemberName::as_bytes);
            let Some(node) = nodes.get(id) else {
                if self.lose_directory(root, id) {
                    break;
                }
                let message = "the image's parent is not in the archive";
                let problem = Problem::error(Code::MemberMissing, message).compared(id, "absent");
                self.problem(problem, below, position);
                break;
            };
            if !seen.insert(id) {
                let message = "the parents of the image form a circle";
                self.problem(
                    Problem::error(Code::ConfigInvalid, message),
                    below,
                    position,
                );
                break;
            }
            chain.push(node);
            next = node.json.parent.as_deref();
        }
        chain.reverse();
        chain
    }

    fn legacy_image(
        &mut self,
        nodes: &HashMap<String, V1Node>,
        top: &str,
        root: &V1Root,
        position: usize,
    ) -> Result<Image, LoadError> {
        let chain = self.chain(nodes, top, root, position);
        self.count(chain.len())?;
        let repeated = |node: &&V1Node| node.json.step.text_len() + 2 * node.id.len();
        let text = chain.iter().map(repeated).sum();
        self.count_steps(chain.len())?;
        self.repeat(text)?;
        let mut layers = Vec::with_capacity(chain.len());
        for (index, node) in chain.iter().enumerate() {
            let member = node.directory.join(b"layer.tar").as_bytes().to_vec();
            let source = self.layer_source(&member, Vec::new())?;
            layers.push(Layer {
                index,
                diff_id: None,
                chain_id: None,
                legacy_id: Some(LegacyId::new(&node.id)),
                v1_json: Some(Arc::clone(&node.document)),
                digest: None,
                media_type: None,
                claimed_size: None,
                member,
                source,
            });
        }
        let history: Vec<HistoryEntry> = chain
            .iter()
            .map(|node| HistoryEntry {
                empty_layer: false,
                ..node.json.step.clone()
            })
            .collect();
        let config = chain.last().map(|node| {
            Arc::new(ConfigBlob {
                member: node.directory.join(b"json").as_bytes().to_vec(),
                raw: node.document.raw.clone(),
                view: Config {
                    history,
                    ..node.json.config.clone()
                },
            })
        });
        let platform = config
            .as_ref()
            .map(|blob| blob.view.platform.clone())
            .unwrap_or_default();
        let identity = Identity::Legacy(LegacyId::new(top));
        Ok(Image {
            position,
            identity,
            names: Vec::new(),
            platform,
            config,
            manifest: None,
            parent: None,
            layers,
            upgraded: OnceLock::new(),
        })
    }
}

fn legacy_name(tag: &RepositoryTag) -> Name {
    Reference::from_parts(&tag.repository, &tag.tag).map_or_else(
        |_| Name::Bare(format!("{}:{}", tag.repository, tag.tag)),
        Name::Reference,
    )
}
