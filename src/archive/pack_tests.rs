//! What a zip is made of and what it is refused for, by packing folders.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tokio_util::sync::CancellationToken;
use zip::ZipArchive;

use super::look;
use super::pack::{Packed, pack};
use crate::config::specification::{Archive, VersionedKey};
use crate::docker::hexadecimal;
use crate::error::Result;
use crate::exit::Exit;

fn archive(root: &Path, exclude: &[&str]) -> Archive {
    Archive {
        name: "docs".to_owned(),
        context: root.to_owned(),
        exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(),
        secrets: Vec::new(),
        bucket: "docs".to_owned(),
        key: VersionedKey { prefix: String::new(), suffix: String::new() },
        latest_key: String::new(),
        paths: None,
        ignore: Vec::new(),
        depends_on: Vec::new(),
    }
}

fn packed(root: &Path, exclude: &[&str]) -> Result<Packed> {
    pack(&archive(root, exclude), &CancellationToken::new())
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn names(packed: &Packed) -> Vec<String> {
    let mut zip = ZipArchive::new(packed.file.try_clone().unwrap()).unwrap();
    (0..zip.len()).map(|index| zip.by_index(index).unwrap().name().unwrap().into_owned()).collect()
}

#[test]
fn the_same_files_are_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (root, order) in [(one.path(), ["b", "a/z", "a.txt"]), (other.path(), ["a.txt", "a/z", "b"])] {
        for path in order {
            write(root, path, path);
        }
        std::fs::create_dir(root.join(if order[0] == "b" { "empty" } else { "void" })).unwrap();
    }
    std::fs::set_permissions(one.path().join("b"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(other.path().join("b"), std::fs::Permissions::from_mode(0o664)).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(other.path().join("b")).unwrap().set_modified(long_ago).unwrap();
    let (first, second) = (packed(one.path(), &[]).unwrap(), packed(other.path(), &[]).unwrap());
    assert_eq!(first.sha256, second.sha256);
    assert_eq!(names(&first), ["a.txt", "a/z", "b"], "sorted by the bytes of the whole path");
    assert_eq!(first.files, 3);
    std::fs::set_permissions(other.path().join("b"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(packed(other.path(), &[]).unwrap().sha256, first.sha256, "whether it may be executed counts");
}

#[test]
fn the_bytes_are_those_of_every_machine() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "app.py", "print('hello')\n");
    write(root.path(), "run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(root.path().join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("app.py", root.path().join("main.py")).unwrap();
    assert_eq!(hexadecimal(&packed(root.path(), &[]).unwrap().sha256), GOLDEN);
}

/// Whoever changes it makes every zip another one: all services of `kind: zip` are delivered again.
const GOLDEN: &str = "5ab9a16acfb598db21ee09544290da6fcb7090a4ac5452efd90fe4d0c39e78f1";

#[test]
fn git_is_never_in_and_what_is_excluded_is_not() {
    let root = tempfile::tempdir().unwrap();
    for path in [".git/HEAD", "sub/.git", "app.py", "notes.md", "keep.md", "tests/a.py", "x/__pycache__/a.pyc"] {
        write(root.path(), path, "x");
    }
    let exclude = ["*.md", "!keep.md", "/tests", "**/__pycache__", "!.git", "! **/.git"];
    assert_eq!(names(&packed(root.path(), &exclude).unwrap()), ["app.py", "keep.md"]);
    let nothing = packed(root.path(), &["*"]).unwrap_err();
    assert_eq!(nothing.exit(), Exit::Build, "an empty zip would take the app away: {nothing}");
    let looked = look(&archive(root.path(), &["*"])).unwrap_err();
    assert_eq!(looked.line(), nothing.line(), "known before anything is packed");
}

#[test]
fn links_stay_links_unless_they_lead_out() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/b", "x");
    symlink("../a/b", root.path().join("a/link")).unwrap();
    let packed_once = packed(root.path(), &[]).unwrap();
    let mut zip = ZipArchive::new(packed_once.file.try_clone().unwrap()).unwrap();
    let mut link = zip.by_name("a/link").unwrap();
    assert!(link.is_symlink());
    let mut target = String::new();
    link.read_to_string(&mut target).unwrap();
    assert_eq!(target, "../a/b");
    // `..` of a link is the folder above where it leads.
    symlink(".", root.path().join("here")).unwrap();
    for (name, target) in
        [("out", "../elsewhere"), ("absolute", "/etc/passwd"), ("a/deep", "../../x"), ("round", "here/../.")]
    {
        let path = root.path().join(name);
        symlink(target, &path).unwrap();
        let error = packed(root.path(), &[]).unwrap_err();
        assert!(error.message().contains(&format!("`{name}` leads out of the zip: {target}")), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_a_zip_cannot_hold_is_refused_in_words() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a", "x");
    let odd = root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::write(&odd, "x").unwrap();
    assert!(packed(root.path(), &[]).unwrap_err().message().contains("not UTF-8"));
    std::fs::remove_file(odd).unwrap();
    let missing = packed(&root.path().join("missing"), &[]).unwrap_err();
    assert_eq!(missing.exit(), Exit::Usage, "{missing}");
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data");
    std::fs::write(&path, vec![7; 16 << 20]).unwrap();
    let packed = std::sync::atomic::AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        // Its size stays what it was.
        scope.spawn(|| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            while !packed.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::FileExt::write_all_at(&file, b"8", 0).unwrap();
            }
        });
        let error = self::packed(root.path(), &[]).unwrap_err();
        packed.store(true, std::sync::atomic::Ordering::Relaxed);
        error
    });
    assert!(error.message().contains("`data` changed while it was packed"), "{error}");
}

#[test]
fn an_interruption_ends_it() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a", "x");
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert_eq!(pack(&archive(root.path(), &[]), &cancel).unwrap_err().exit(), Exit::Interrupted);
}

/// It takes a minute and 5 GB of zeros that are never on disk.
#[test]
#[ignore = "slow: run it with --include-ignored after a change here"]
fn a_file_beyond_four_gibibytes_is_packed_with_64_bit_sizes() {
    let root = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(root.path().join("large")).unwrap();
    file.set_len(5 << 30).unwrap();
    let packed = packed(root.path(), &[]).unwrap();
    let mut zip = ZipArchive::new(packed.file).unwrap();
    assert_eq!(zip.by_index(0).unwrap().size(), 5 << 30);
}
