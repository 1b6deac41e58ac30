//! The methods that there are, by the paths that they are called at.

use std::{collections::HashSet, sync::LazyLock};

use imd_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;

static PATHS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default().file;
    let paths = files.iter().flat_map(|file| {
        file.service.iter().flat_map(|service| {
            let methods = service.method.iter();
            methods
                .map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name()))
        })
    });
    paths.collect()
});

/// The method that a path calls, as `im.v1.MessageService/Send`; `None` where there is none of ours.
pub(super) fn at(path: &str) -> Option<&'static str> {
    PATHS.get(path).and_then(|path| path.strip_prefix('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_methods_are_known_and_no_others() {
        assert_eq!(at("/im.v1.MessageService/Send"), Some("im.v1.MessageService/Send"));
        assert_eq!(at("/im.v1.AdminService/GetUser"), Some("im.v1.AdminService/GetUser"));
        assert_eq!(at("/im.v1.MessageService/Sent"), None);
    }
}
