//! What a run says of itself with everything that it sends.

use crate::messages::text;
use crate::protobuf::Message;

/// Attributes of the program, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource(Vec<(String, String)>);

impl Resource {
    /// A resource with these attributes, and those that nobody needs to say. `name` is that of the service,
    /// if it was chosen.
    pub(crate) fn new(name: Option<String>, chosen: Vec<(String, String)>) -> Self {
        let mut all = Self(chosen);
        if let Some(name) = name {
            all.0.retain(|(key, _)| key != "service.name");
            all.add("service.name", name);
        }
        all.add("service.name", "gristmill".to_owned());
        all.add("service.version", env!("CARGO_PKG_VERSION").to_owned());
        all.add("service.instance.id", instance());
        all.add("process.pid", std::process::id().to_string());
        all
    }

    /// Adds an attribute, unless there is one of that name.
    pub(crate) fn add(&mut self, name: &str, value: String) {
        if !self.0.iter().any(|(key, _)| key == name) {
            self.0.push((name.to_owned(), value));
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, message: &mut Message) {
        for (key, value) in &self.0 {
            text(message, 1, key, value);
        }
    }
}

/// A UUID by chance (version 4): two runs at once are two instances.
fn instance() -> String {
    let mut bytes = [0; 16];
    // Without a source of chance, all instances are one.
    let _ = getrandom::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{number:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_goes_before_what_is_usual() {
        let chosen = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let name = |resource: Resource| {
            let found = resource.0.into_iter().filter(|(key, _)| key == "service.name");
            found.map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(name(Resource::new(None, Vec::new())), ["gristmill"]);
        assert_eq!(name(Resource::new(None, chosen("service.name", "a"))), ["a"]);
        assert_eq!(name(Resource::new(Some("b".into()), chosen("service.name", "a"))), ["b"]);
    }

    #[test]
    fn an_instance_is_a_uuid_of_version_4() {
        let one = instance();
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4', "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
        assert_ne!(one, instance());
    }
}
