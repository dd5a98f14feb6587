//! The key itself: one value that was reckoned by other means, and what changes it and what does not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::LazyLock;

use super::context::{self, Hashed, Snapshot};
use super::record::Records;
use super::{ContentKey, Keyed, differences};

/// Reckoned with Python's hashlib from the description in `record` and `context`.
const GOLDEN: &str = "v1:f30fdeab11c60c598211b67c84ee2709323fe6af97e977dab9270e865c3c2228";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("context").join(name);
    fs::create_dir_all(path("d")).unwrap();
    fs::write(path("a"), "one\n").unwrap();
    fs::write(path("d/x"), "x").unwrap();
    symlink("a", path("l")).unwrap();
    for (name, mode) in [("a", 0o644), ("d", 0o755), ("d/x", 0o755)] {
        set_mode(&path(name), mode);
    }
    fs::write(folder.path().join("Dockerfile"), "").unwrap();
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn hash(folder: &Path) -> Hashed {
    context::hash(&folder.join("context"), &folder.join("Dockerfile")).unwrap()
}

fn bases(digest: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("busybox".to_owned(), digest.to_owned())])
}

fn key_with(context: &Hashed, change: impl FnOnce(&mut Records<'_>)) -> Keyed {
    let bases = bases("sha256:b");
    let mut records = Records {
        dockerfile: b"FROM busybox\nCOPY . /\n",
        target: Some("t"),
        platform: "linux/amd64",
        token: Some("1"),
        args: BTreeMap::from([("A", "1"), ("B", "2")]),
        secrets: vec!["S"],
        bases: &bases,
        context,
    };
    change(&mut records);
    records.key()
}

fn key(folder: &Path) -> ContentKey {
    key_with(&hash(folder), |_| {}).key
}

#[test]
fn the_key_of_known_inputs_is_known() {
    let folder = folder();
    let key = key(folder.path());
    assert_eq!(key.as_str(), GOLDEN);
    assert_eq!(key.tag(), format!("ck1-{}", &GOLDEN[3..43]));
}

#[test]
fn every_record_changes_it() {
    let folder = folder();
    let context = hash(folder.path());
    let same = key_with(&context, |_| {}).key;
    type Change = fn(&mut Records<'_>);
    static OTHER: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| bases("sha256:c"));
    static RENAMED: LazyLock<BTreeMap<String, String>> =
        LazyLock::new(|| BTreeMap::from([("busybox for linux/arm64".to_owned(), "sha256:b".to_owned())]));
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let changes: [(&str, Change); 13] = [
        ("Dockerfile", |records| records.dockerfile = b"FROM busybox\nCOPY . /x\n"),
        ("target", |records| records.target = None),
        ("platform", |records| records.platform = "linux/arm64"),
        ("token", |records| records.token = Some("2")),
        ("no token", |records| records.token = None),
        ("argument's value", |records| records.args = BTreeMap::from([("A", "11"), ("B", "2")])),
        ("argument's name", |records| records.args = BTreeMap::from([("C", "1"), ("B", "2")])),
        // What one value ends with the next one begins with: only the lengths tell them apart.
        ("argument's end", |records| records.args = BTreeMap::from([("A", "1B"), ("", "2")])),
        ("secret's id", |records| records.secrets = vec!["S", "T"]),
        ("one argument less", |records| records.args = BTreeMap::from([("A", "1")])),
        ("base image", |records| records.bases = &OTHER),
        ("base image's name or platform", |records| records.bases = &RENAMED),
        ("no base image", |records| records.bases = &NONE),
    ];
    for (what, change) in changes {
        assert_ne!(key_with(&context, change).key, same, "{what}");
    }
    assert_eq!(key_with(&context, |records| records.secrets.reverse()).key, same);
}

#[test]
fn every_file_changes_it_and_times_owners_and_the_umask_do_not() {
    type Change = fn(&Path);
    let changes: [(&str, bool, Change); 16] = [
        ("content", true, |path| fs::write(path.join("a"), "two\n").unwrap()),
        ("a file more", true, |path| fs::write(path.join("b"), "").unwrap()),
        ("a file less", true, |path| fs::remove_file(path.join("a")).unwrap()),
        ("another name", true, |path| fs::rename(path.join("a"), path.join("b")).unwrap()),
        ("an empty folder", true, |path| fs::create_dir(path.join("e")).unwrap()),
        ("executable", true, |path| set_mode(&path.join("a"), 0o755)),
        ("private", true, |path| set_mode(&path.join("a"), 0o600)),
        ("setuid", true, |path| set_mode(&path.join("d/x"), 0o4755)),
        ("a link's target", true, |path| {
            fs::remove_file(path.join("l")).unwrap();
            symlink("d", path.join("l")).unwrap();
        }),
        ("a link in a file's place", true, |path| {
            fs::remove_file(path.join("a")).unwrap();
            symlink("one\n", path.join("a")).unwrap();
        }),
        ("umask", false, |path| {
            set_mode(&path.join("a"), 0o664);
            set_mode(&path.join("d"), 0o775);
        }),
        ("a new file of the same content", false, |path| {
            fs::write(path.join("new"), "one\n").unwrap();
            set_mode(&path.join("new"), 0o644);
            fs::rename(path.join("new"), path.join("a")).unwrap();
        }),
        ("times", false, |path| {
            fs::File::options().append(true).open(path.join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("owner", false, |path| {
            // Only root may give a file away; for anybody else it stays as it is.
            let _ = std::os::unix::fs::lchown(path.join("d/x"), Some(65534), Some(65534));
            set_mode(&path.join("d/x"), 0o755);
        }),
        ("the order in which they were made", false, |path| {
            fs::remove_file(path.join("a")).unwrap();
            fs::remove_file(path.join("l")).unwrap();
            symlink("a", path.join("l")).unwrap();
            fs::write(path.join("a"), "one\n").unwrap();
            set_mode(&path.join("a"), 0o644);
        }),
        ("a second name in place of a copy", false, |path| {
            fs::hard_link(path.join("d/x"), path.join("d/y")).unwrap();
            fs::remove_file(path.join("d/x")).unwrap();
            fs::rename(path.join("d/y"), path.join("d/x")).unwrap();
        }),
    ];
    for (what, differs, change) in changes {
        let folder = folder();
        change(&folder.path().join("context"));
        assert_eq!(key(folder.path()).as_str() != GOLDEN, differs, "{what}");
    }
}

#[test]
fn a_second_name_of_a_file_is_as_good_as_a_copy() {
    let (linked, copied) = (folder(), folder());
    fs::hard_link(linked.path().join("context/a"), linked.path().join("context/b")).unwrap();
    fs::copy(copied.path().join("context/a"), copied.path().join("context/b")).unwrap();
    assert_eq!(key(linked.path()), key(copied.path()));
}

#[test]
fn what_is_ignored_does_not_count_and_the_ignore_file_itself_only_as_a_file() {
    let folder = folder();
    let path = |name: &str| folder.path().join("context").join(name);
    // It ignores itself too, so that only its effect is left.
    fs::write(path(".dockerignore"), "b\n.dockerignore\n").unwrap();
    fs::write(path("b"), "ignored").unwrap();
    assert_eq!(key(folder.path()).as_str(), GOLDEN);
    fs::write(path(".dockerignore"), "b\nc\n.dockerignore\n").unwrap();
    assert_eq!(key(folder.path()).as_str(), GOLDEN);
    fs::write(path(".dockerignore"), "b\n").unwrap();
    assert_ne!(key(folder.path()).as_str(), GOLDEN);
}

#[test]
fn files_that_nobody_can_be_sure_of_are_no_key() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("`.git` is in the build context", |path| fs::create_dir(path.join(".git")).unwrap()),
        ("`.git` is in the build context", |path| fs::write(path.join("d/.git"), "gitdir: ../.git/modules/d").unwrap()),
        ("d/model.bin is a pointer of Git LFS", |path| {
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n";
            fs::write(path.join("d/model.bin"), pointer).unwrap();
        }),
        ("pattern", |path| fs::write(path.join(".dockerignore"), "[\n").unwrap()),
    ];
    for (why, change) in changes {
        let folder = folder();
        change(&folder.path().join("context"));
        let context = folder.path().join("context");
        let error = context::hash(&context, &folder.path().join("Dockerfile")).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn a_snapshot_tells_that_a_file_was_touched_and_nothing_else() {
    let folder = folder();
    let (context, dockerfile) = (folder.path().join("context"), folder.path().join("Dockerfile"));
    let before = hash(folder.path()).snapshot;
    assert_eq!(Snapshot::take(&context, &dockerfile).unwrap(), before);
    // The same content, written again.
    fs::write(context.join("d/x"), "x").unwrap();
    assert_ne!(Snapshot::take(&context, &dockerfile).unwrap(), before);
    let before = hash(folder.path()).snapshot;
    fs::write(&dockerfile, "FROM x").unwrap();
    assert_ne!(Snapshot::take(&context, &dockerfile).unwrap(), before);
}

#[test]
fn the_difference_is_named_and_no_name_is_in_the_label() {
    let folder = folder();
    let before = key_with(&hash(folder.path()), |_| {}).parts;
    let label = before.to_label();
    assert!(!label.contains("d/x") && !label.contains("busybox") && label.len() < 400, "{label}");
    assert_eq!(differences(&before, &label).unwrap(), Vec::<String>::new());
    fs::write(folder.path().join("context/d/x"), "y").unwrap();
    let now = key_with(&hash(folder.path()), |records| {
        records.args = BTreeMap::from([("A", "1"), ("B", "3")]);
        records.target = None;
    });
    assert_eq!(differences(&now.parts, &label).unwrap(), ["arg B", "context d/x", "target"]);
    let less = key_with(&hash(folder.path()), |records| records.args = BTreeMap::from([("A", "1")])).parts;
    assert_eq!(differences(&less, &label).unwrap(), ["context d/x", "one part that is gone"]);
    assert_eq!(differences(&now.parts, "v2 x"), None);
    assert_eq!(differences(&now.parts, ""), None);
}

#[test]
fn many_folders_make_no_long_label() {
    let folder = folder();
    let before = key_with(&hash(folder.path()), |_| {}).parts.to_label();
    for number in 0..100 {
        let sub = folder.path().join("context/d").join(number.to_string());
        fs::create_dir(&sub).unwrap();
        fs::write(sub.join("f"), "").unwrap();
    }
    let by_top = key_with(&hash(folder.path()), |_| {}).parts;
    assert_eq!(differences(&by_top, &before).unwrap(), ["context"], "another depth: only the whole can be compared");
    let label = by_top.to_label();
    fs::write(folder.path().join("context/d/7/f"), "changed").unwrap();
    let now = key_with(&hash(folder.path()), |_| {}).parts;
    assert_eq!(differences(&now, &label).unwrap(), ["context d"]);
    for number in 0..100 {
        fs::write(folder.path().join("context").join(number.to_string()), "").unwrap();
    }
    let whole = key_with(&hash(folder.path()), |_| {}).parts;
    assert!(whole.to_label().len() < 400, "{}", whole.to_label());
    assert_eq!(differences(&now, &whole.to_label()).unwrap(), ["context"]);
}
