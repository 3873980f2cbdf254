//! The paths that one service was asked for, as a tree of their segments, and which of these are variables.
//!
//! A path comes as its template (`wirespan_protocols::template`), in which ids, hashes and the like are placeholders
//! already. What is left are words; that a word is a value and no name shows only in the many others that stand in its place.
//!
//! Invariants: the tree holds at most `MAX_NODES` nodes. Within its life a word becomes a variable at most once and never a
//! word again, so a template changes at most once. The same paths in the same order give the same tree.

use std::collections::BTreeSet;

/// More words than these in one place are a variable, if most of them were seen once: what comes next will be new, too.
const MANY: usize = 40;
/// More words than these in one place are a variable, however often each comes.
const TOO_MANY: usize = 120;
/// As many words are never a variable, unless there is no room for them.
const FEW: usize = 4;
/// Of the words that become a variable, one that was seen this often, and in one of [`SHARE`] requests, stays a word.
const OFTEN: u32 = 8;
const SHARE: u32 = 32;
/// Most different templates; of more, the place with the most words becomes a variable.
const MAX_TEMPLATES: usize = 300;
/// Most nodes.
const MAX_NODES: usize = 1024;
/// Most paths that are told apart although the service never said that it knows them.
const MAX_REFUSED: usize = 64;
/// Longest file name extension.
const MAX_EXTENSION: usize = 5;

/// What stands for a word that is a value.
const WORD: &str = "{word}";
/// What stands for the rest of a path of which nothing is known.
const REST: &str = "*";

/// One service's paths.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
    nodes: usize,
    /// Nodes at which a path ends.
    templates: usize,
    /// Templates of requests that were refused, and that nothing else is known of.
    refused: BTreeSet<Box<str>>,
    limits: Limits,
    /// Nothing new is taken in any more.
    full: bool,
}

/// How many words in one place are too many. Halved each time that the tree is full: who has that many paths has variables.
#[derive(Clone, Copy, Debug)]
struct Limits {
    many: usize,
    too_many: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { many: MANY, too_many: TOO_MANY }
    }
}

impl Limits {
    fn halved(self) -> Self {
        Self { many: (self.many / 2).max(FEW), too_many: (self.too_many / 2).max(FEW) }
    }

    fn exceeded(self, words: &[&Node]) -> bool {
        let once = words.iter().filter(|word| word.hits <= 1).count();
        words.len() > self.too_many || (words.len() > self.many && 2 * once >= words.len())
    }
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by their label.
    children: Vec<(Box<str>, Node)>,
    hits: u32,
    /// A path ends here.
    ends: bool,
    /// A word that stays one.
    kept: bool,
}

impl Tree {
    /// Takes in that `template` was asked for, and says what it is called. `accepted`: the service did not answer that there
    /// is no such thing. `None` if the template is its name as it stands.
    pub fn learn(&mut self, template: &str, accepted: bool) -> Option<String> {
        if !template.starts_with('/') {
            return None;
        }
        let segments = segments(template);
        let whole = |name: String| (name != template).then_some(name);
        if self.root.leads(&segments) || (accepted && self.grow(&segments)) {
            if accepted {
                self.root.pass(&segments);
            }
            return whole(self.root.name(&segments, true));
        }
        if accepted {
            // There is no room, and nothing left to put together: nobody's paths are like that.
            return Some(["/", REST].concat());
        }
        let name = self.root.name(&segments, true);
        if self.refused.contains(name.as_str()) {
            return whole(name);
        }
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(name.as_str().into());
            return whole(name);
        }
        whole(self.root.name(&segments, false))
    }

    /// What a template is called, without taking it in; `None` as for [`learn`](Self::learn), or if it was not seen before.
    pub fn name(&self, template: &str) -> Option<String> {
        let segments = segments(template);
        let name = self.root.leads(&segments).then(|| self.root.name(&segments, true))?;
        (name != template).then_some(name)
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        const LABEL: usize = 24;
        let refused: usize = self.refused.iter().map(|path| path.len() + 2 * size_of::<Box<str>>()).sum();
        self.nodes * (size_of::<(Box<str>, Node)>() * 2 + LABEL) + refused
    }

    /// Makes room for a path and inserts it; false if there is none.
    fn grow(&mut self, segments: &[&str]) -> bool {
        let more = segments.len();
        if !self.full && !self.has_room(MAX_TEMPLATES, MAX_NODES - more) {
            self.make_room();
            // What was put together is never taken apart, so this stays so.
            self.full = !self.has_room(MAX_TEMPLATES, MAX_NODES - more);
        }
        !self.full && self.put(segments)
    }

    fn has_room(&self, templates: usize, nodes: usize) -> bool {
        self.templates < templates && self.nodes < nodes
    }

    /// Makes enough room that it is not needed again soon.
    fn make_room(&mut self) {
        self.limits = self.limits.halved();
        self.root.settle(self.limits);
        self.count();
        while !self.has_room(MAX_TEMPLATES * 3 / 4, MAX_NODES * 3 / 4) {
            let most = self.root.most_words();
            if most < 2 || !self.root.give_up_words(most, self.limits) {
                return;
            }
            self.count();
        }
    }

    fn put(&mut self, segments: &[&str]) -> bool {
        let (before, at) = (self.nodes, self.root.insert(segments, &mut self.nodes));
        self.templates += usize::from(at);
        // (A path that ends at a node that was there is no new node.)
        if self.nodes > before && self.root.look_again(segments, self.limits) {
            self.count();
        }
        true
    }

    fn count(&mut self) {
        (self.nodes, self.templates) = self.root.count();
    }
}

impl Node {
    /// Where the child is that a segment leads to, and its label: the word itself, or the variable that it is a value of.
    fn towards(&self, segment: &str) -> Option<usize> {
        let find = |label: &str| self.children.binary_search_by(|(known, _)| known.as_ref().cmp(label)).ok();
        find(segment).or_else(|| if is_fixed(segment) { None } else { find(&variable(segment)) })
    }

    /// Whether a path was seen before, or would be the same as one that was.
    fn leads(&self, segments: &[&str]) -> bool {
        match segments.split_first() {
            None => self.ends,
            Some((first, rest)) => self.towards(first).is_some_and(|at| self.children[at].1.leads(rest)),
        }
    }

    /// Counts a path that [`leads`](Self::leads) somewhere.
    fn pass(&mut self, segments: &[&str]) {
        self.hits = self.hits.saturating_add(1);
        if let Some((first, rest)) = segments.split_first()
            && let Some(at) = self.towards(first)
        {
            self.children[at].1.pass(rest);
        }
    }

    /// The name of a path as far as it is known, and for what is not, the rest of the path as it stands, or `*`.
    fn name(&self, segments: &[&str], rest_as_it_stands: bool) -> String {
        let (mut node, mut name) = (Some(self), String::with_capacity(64));
        for segment in segments {
            name.push('/');
            let next = node.and_then(|node| Some(&node.children[node.towards(segment)?]));
            match next {
                Some((label, _)) => name.push_str(label),
                None if rest_as_it_stands => name.push_str(segment),
                None => {
                    name.push_str(REST);
                    break;
                }
            }
            node = next.map(|(_, child)| child);
        }
        name
    }

    /// Inserts a path; whether none ended there before.
    fn insert(&mut self, segments: &[&str], nodes: &mut usize) -> bool {
        let Some((first, rest)) = segments.split_first() else {
            return !std::mem::replace(&mut self.ends, true);
        };
        let at = self.towards(first).unwrap_or_else(|| {
            let at = self.children.partition_point(|(known, _)| known.as_ref() < *first);
            self.children.insert(at, ((*first).into(), Node::default()));
            *nodes += 1;
            at
        });
        self.children[at].1.insert(rest, nodes)
    }

    /// Looks at each place of a path that was just inserted for words that are too many; whether there were any.
    fn look_again(&mut self, segments: &[&str], limits: Limits) -> bool {
        let changed = self.learn_variables(limits);
        let below = segments.split_first().and_then(|(first, rest)| Some((self.towards(first)?, rest)));
        below.is_some_and(|(at, rest)| self.children[at].1.look_again(rest, limits)) || changed
    }

    /// The children that are words and may become variables, by the variable that they would be values of.
    fn words(&self) -> Vec<(String, Vec<&Node>)> {
        let mut by_variable: Vec<(String, Vec<&Node>)> = Vec::new();
        for (label, child) in &self.children {
            if is_fixed(label) || child.kept {
                continue;
            }
            let variable = variable(label);
            match by_variable.iter_mut().find(|(known, _)| *known == variable) {
                Some((_, words)) => words.push(child),
                None => by_variable.push((variable, vec![child])),
            }
        }
        by_variable
    }

    fn learn_variables(&mut self, limits: Limits) -> bool {
        if self.children.len() <= limits.many {
            return false;
        }
        let words = self.words().into_iter().filter(|(_, words)| limits.exceeded(words));
        let found: Vec<String> = words.map(|(name, _)| name).collect();
        found.iter().for_each(|variable| self.gather(variable, true, limits));
        !found.is_empty()
    }

    /// The most words of one kind that stand in one place.
    fn most_words(&self) -> usize {
        let here = self.words().iter().map(|(_, words)| words.len()).max().unwrap_or(0);
        self.children.iter().map(|(_, child)| child.most_words()).fold(here, usize::max)
    }

    /// Makes a variable of the first `many` words that stand in one place.
    fn give_up_words(&mut self, many: usize, limits: Limits) -> bool {
        let here = self.words().into_iter().find(|(_, words)| words.len() == many).map(|(name, _)| name);
        match here {
            Some(variable) => {
                self.gather(&variable, false, limits);
                true
            }
            None => self.children.iter_mut().any(|(_, child)| child.give_up_words(many, limits)),
        }
    }

    /// Makes one child of all words that are values of `variable`, save those that many requests ask for.
    fn gather(&mut self, variable_name: &str, keep: bool, limits: Limits) {
        let is_value = |label: &str| !is_fixed(label) && variable(label) == variable_name;
        let total: u32 = self
            .children
            .iter()
            .filter(|(label, child)| is_value(label) && !child.kept)
            .fold(0, |sum, (_, child)| sum.saturating_add(child.hits));
        let mut gathered = Node::default();
        for (label, mut child) in std::mem::take(&mut self.children) {
            if is_value(&label) && !child.kept && keep && child.hits >= OFTEN && child.hits >= total / SHARE {
                child.kept = true;
            }
            if *label == *variable_name || (is_value(&label) && !child.kept) {
                gathered.merge(child);
            } else {
                self.children.push((label, child));
            }
        }
        gathered.settle(limits);
        let at = self.children.partition_point(|(known, _)| known.as_ref() < variable_name);
        self.children.insert(at, (variable_name.into(), gathered));
    }

    /// Takes in what another node knows.
    fn merge(&mut self, other: Node) {
        self.hits = self.hits.saturating_add(other.hits);
        self.ends |= other.ends;
        for (label, child) in other.children {
            match self.children.binary_search_by(|(known, _)| known.cmp(&label)) {
                Ok(at) => {
                    let kept = self.children[at].1.kept | child.kept;
                    self.children[at].1.merge(child);
                    self.children[at].1.kept = kept;
                }
                Err(at) => self.children.insert(at, (label, child)),
            }
        }
    }

    /// What was put together of several: words of a variable that only some of them knew become its values, and words that are
    /// too many now become one.
    fn settle(&mut self, limits: Limits) {
        let known: Vec<String> =
            self.children.iter().filter(|(l, _)| l.starts_with(WORD)).map(|(l, _)| l.to_string()).collect();
        for variable in known {
            self.gather(&variable, false, limits);
        }
        self.learn_variables(limits);
        self.children.iter_mut().for_each(|(_, child)| child.settle(limits));
    }

    /// Nodes below, and how many paths end at or below this one.
    fn count(&self) -> (usize, usize) {
        self.children
            .iter()
            .map(|(_, child)| child.count())
            .fold((0, usize::from(self.ends)), |sum, below| (sum.0 + 1 + below.0, sum.1 + below.1))
    }
}

/// The segments of a template.
fn segments(template: &str) -> Vec<&str> {
    template.strip_prefix('/').unwrap_or(template).split('/').collect()
}

/// Whether a segment is no word: nothing, a placeholder and nothing else, or the rest of a path.
fn is_fixed(segment: &str) -> bool {
    let placeholder = segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1);
    segment.is_empty() || segment == REST || placeholder || segment.starts_with(WORD)
}

/// The variable that a word would be a value of: files are told apart by what they are.
fn variable(word: &str) -> String {
    let extension = word.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| {
        let letters = extension.bytes().all(|b| b.is_ascii_alphanumeric());
        (1..=MAX_EXTENSION).contains(&extension.len())
            && letters
            && extension.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    extension.map_or_else(|| WORD.to_owned(), |extension| [WORD, ".", extension].concat())
}

#[cfg(test)]
mod tests;
