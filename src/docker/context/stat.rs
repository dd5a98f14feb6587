//! What BuildKit is told of one path: fsutil's `Stat`, whose mode is Go's and not the kernel's.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bollard_buildkit_proto::fsutil::types::Stat;

const DIRECTORY: u32 = 1 << 31;
const SYMBOLIC_LINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SET_USER: u32 = 1 << 23;
const SET_GROUP: u32 = 1 << 22;
const CHARACTER_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;

/// The first path that was sent for a file with several names, by device and inode.
#[derive(Default)]
pub(super) struct HardLinks(HashMap<(u64, u64), String>);

/// Describes `full`, which the engine will know as `path`. Owner and group are 0, as with every builder: the image
/// must not depend on who built it.
pub(super) fn stat(full: &Path, path: &str, metadata: &Metadata, links: &mut HardLinks) -> io::Result<Stat> {
    let mut stat = Stat {
        path: path.to_owned(),
        mode: go_mode(metadata),
        mod_time: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        ..Stat::default()
    };
    if metadata.is_dir() {
        return Ok(stat);
    }
    stat.size = i64::try_from(metadata.size()).unwrap_or(i64::MAX);
    if metadata.is_symlink() {
        let target = std::fs::read_link(full)?;
        target.to_str().ok_or(io::ErrorKind::InvalidData)?.clone_into(&mut stat.linkname);
    } else if metadata.is_file() && metadata.nlink() > 1 {
        let identity = (metadata.dev(), metadata.ino());
        if let Some(first) = links.0.get(&identity) {
            stat.linkname.clone_from(first);
            stat.size = 0;
        } else {
            links.0.insert(identity, path.to_owned());
        }
    }
    Ok(stat)
}

/// Whether the engine may ask for the content of what has this mode. Both sides must agree on it.
pub(crate) const fn has_content(mode: u32) -> bool {
    const IRREGULAR: u32 = 1 << 19;
    const SOCKET: u32 = 1 << 24;
    mode & (DIRECTORY | SYMBOLIC_LINK | DEVICE | NAMED_PIPE | SOCKET | CHARACTER_DEVICE | IRREGULAR) == 0
}

pub(super) const fn is_directory(mode: u32) -> bool {
    mode & DIRECTORY != 0
}

pub(super) const fn is_link(mode: u32) -> bool {
    mode & SYMBOLIC_LINK != 0
}

/// The lower twelve bits as the kernel has them.
pub(super) fn permissions(mode: u32) -> u32 {
    let special = [(SET_USER, 0o4000), (SET_GROUP, 0o2000), (STICKY, 0o1000)];
    special.iter().fold(mode & 0o777, |bits, (flag, kernel)| if mode & flag == 0 { bits } else { bits | kernel })
}

fn go_mode(metadata: &Metadata) -> u32 {
    let kernel = metadata.mode();
    let kind = metadata.file_type();
    let mut mode = kernel & 0o777;
    for (flag, set) in [
        (DIRECTORY, kind.is_dir()),
        (SYMBOLIC_LINK, kind.is_symlink()),
        (NAMED_PIPE, kind.is_fifo()),
        (DEVICE, kind.is_block_device()),
        (DEVICE | CHARACTER_DEVICE, kind.is_char_device()),
        (SET_USER, kernel & 0o4000 != 0),
        (SET_GROUP, kernel & 0o2000 != 0),
        (STICKY, kernel & 0o1000 != 0),
    ] {
        if set {
            mode |= flag;
        }
    }
    mode
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{HardLinks, has_content, stat};

    #[test]
    fn modes_are_those_of_go() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        std::fs::write(&path, "abc").unwrap();
        for (kernel, go) in [(0o644, 0o644), (0o4755, (1 << 23) | 0o755), (0o3700, (1 << 22) | (1 << 20) | 0o700)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kernel)).unwrap();
            let metadata = path.symlink_metadata().unwrap();
            let stat = stat(&path, "f", &metadata, &mut HardLinks::default()).unwrap();
            assert_eq!((stat.mode, stat.size, stat.uid), (go, 3, 0));
            assert!(has_content(stat.mode));
        }
        let metadata = root.path().symlink_metadata().unwrap();
        let stat = stat(root.path(), "d", &metadata, &mut HardLinks::default()).unwrap();
        assert_eq!((stat.mode >> 31, stat.size), (1, 0));
        assert!(!has_content(stat.mode));
    }

    #[test]
    fn the_second_name_of_a_file_points_to_the_first() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        std::fs::write(&a, "abc").unwrap();
        std::fs::hard_link(&a, &b).unwrap();
        let mut links = HardLinks::default();
        let first = stat(&a, "a", &a.symlink_metadata().unwrap(), &mut links).unwrap();
        let second = stat(&b, "b", &b.symlink_metadata().unwrap(), &mut links).unwrap();
        assert_eq!((first.linkname.as_str(), first.size), ("", 3));
        assert_eq!((second.linkname.as_str(), second.size), ("a", 0));
    }
}
