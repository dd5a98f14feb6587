//! Every trap of git, on a real repository through the real binary.

use super::*;

#[test]
fn only_what_concerns_a_service_changes_it() {
    let cases: [(&str, &[&str]); 12] = [
        ("README.md", &[]),
        ("docs/a", &[]),
        ("api/app", &["api"]),
        ("api/x/y/.z", &["api"]),
        ("api/notes.md", &[]),
        ("libs/x/l", &["api"]),
        ("apis/x", &[]),
        ("web/app", &["web"]),
        // The builder is not sent what .dockerignore leaves out.
        ("web/notes", &[]),
        ("web/Dockerfile", &["web"]),
        ("web/.dockerignore", &["web"]),
        ("web/Dockerfile.dockerignore", &["web"]),
    ];
    for (path, expected) in cases {
        let project = shop().file(path, "another thing\n").committed();
        assert_eq!(changed(&project), expected, "{path}");
    }
}

#[test]
fn both_sides_of_a_rename_and_a_deletion_count() {
    let project = shop();
    project.git(&["mv", "api/app", "web/moved"]);
    commit(&project);
    // Whatever the user has set for `git diff`.
    let set = [("diff.renames", "copies"), ("diff.relative", "true"), ("diff.orderFile", "/nowhere")];
    for (key, value) in set {
        project.git(&["config", key, value]);
    }
    assert_eq!(changed(&project), ["api", "web"]);
    for (key, _) in set {
        project.git(&["config", "--unset", key]);
    }
    project.git(&["rm", "--quiet", "libs/x/l"]);
    commit(&project);
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn unusual_names_are_names() {
    for name in ["api/é ü", "api/q\"uo\tte", "api/new\nline", "api/ leading", "api/-dash", "api/back\\slash", "api/*"]
    {
        let project = shop().file(name, "x\n").committed();
        assert_eq!(changed(&project), ["api"], "{name:?}");
    }
    let project = shop();
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
    std::fs::write(project.path("api").join::<&std::ffi::OsStr>(name), "x").expect("a file");
    commit(&project);
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn a_mode_and_a_link_are_changes() {
    let project = shop();
    project.git(&["update-index", "--chmod=+x", "api/app"]);
    project.git(&["commit", "--quiet", "--message", "Let it run"]);
    project.git(&["checkout", "--quiet", "--", "."]);
    assert_eq!(changed(&project), ["api"]);
    std::os::unix::fs::symlink("../libs/x", project.path("web/lib")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
    std::fs::remove_file(project.path("web/lib")).expect("a link");
    std::os::unix::fs::symlink("../libs", project.path("web/lib")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
}

#[test]
fn a_context_behind_a_link_changes_with_the_link() {
    let project = shop().file("v1/Dockerfile", DOCKERFILE).file("v2/Dockerfile", DOCKERFILE);
    std::os::unix::fs::symlink("v1", project.path("current")).expect("a link");
    let project = project.file("deploy.yaml", &MANIFEST.replace("context: web", "context: current")).committed();
    std::fs::remove_file(project.path("current")).expect("a link");
    std::os::unix::fs::symlink("v2", project.path("current")).expect("a link");
    commit(&project);
    assert_eq!(changed(&project), ["web"]);
}

#[test]
fn a_submodule_that_is_told_to_be_ignored_is_seen() {
    let other = Project::new().file("f", "1\n").committed();
    let project = shop();
    let url = other.folder().to_str().expect("UTF-8").to_owned();
    project.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "vend"]);
    project.git(&["config", "--file", ".gitmodules", "submodule.vend.ignore", "all"]);
    commit(&project);
    let other = other.file("f", "2\n").committed();
    let newer = other.head();
    project.git(&["-C", "vend", "fetch", "--quiet"]);
    project.git(&["-C", "vend", "checkout", "--quiet", &newer]);
    project.git(&["add", "--force", "vend"]);
    project.git(&["commit", "--quiet", "--message", "Take the newer one"]);
    assert_eq!(changed(&project), ["api"], "vend/** means what is behind `vend`");
}

#[test]
fn a_merge_is_what_it_brought() {
    let project = shop();
    project.git(&["checkout", "--quiet", "-b", "feature"]);
    let project = project.file("web/app", "two\n").committed();
    project.git(&["checkout", "--quiet", "develop"]);
    let project = project.file("README.md", "more words\n").committed();
    project.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "feature"]);
    assert_eq!(changed_since(&project, "HEAD~1"), ["web"]);
    // A pull request is counted from where it was branched off, whatever went into the other branch since.
    project.git(&["checkout", "--quiet", "-b", "next", "HEAD~1"]);
    let project = project.file("api/app", "three\n").committed();
    assert_eq!(changed_since(&project, "develop"), ["api"]);
}

#[test]
fn replaced_objects_are_not_looked_at() {
    let project = shop();
    let old = project.head();
    let project = project.file("api/app", "two\n").committed();
    project.git(&["replace", &old, "HEAD"]);
    assert_eq!(changed_since(&project, &old), ["api"]);
}

#[test]
fn what_is_not_committed_counts_on_a_laptop_and_not_in_a_pipeline() {
    let project = shop().file("api/new", "x\n").file("web/app", "two\n");
    assert_eq!(changed_since(&project, "HEAD"), ["api", "web"]);
    let pipeline = project.var("BITBUCKET_BUILD_NUMBER", "7").var("BITBUCKET_BRANCH", "develop");
    assert_eq!(changed_since(&pipeline, "HEAD"), Vec::<String>::new());
}

#[test]
fn deploy_yaml_is_compared_by_what_it_means() {
    type Works = &'static [(&'static str, &'static str)];
    let works: [(&str, &str, Works); 7] = [
        ("name: shop", "name: other", &[]),
        ("{ context: web,", "{ context: web, dockerfile: Dockerfile, platform: linux/amd64,", &[]),
        ("{ context: web,", "{ context: web, build_args: { A: b },", &[("web", "build")]),
        ("{ context: web,", "{ context: web, cluster: other,", &[("web", "deploy")]),
        ("{ context: web,", "{ context: web, environments: { prod: { target: x } },", &[]),
        ("{ context: web,", "{ context: web, environments: { dev: { target: x } },", &[("web", "build")]),
        ("dev: { branch: develop }", "dev: { branch: develop, approval: required }", &[]),
    ];
    for (from, to, expected) in works {
        assert!(MANIFEST.contains(from));
        let project = shop().file("deploy.yaml", &MANIFEST.replace(from, to)).committed();
        let rows = rows(&project, "HEAD~1", &[]);
        let work = rows.iter().filter(|row| row["changed"] == true);
        let work: Vec<_> =
            work.map(|row| (row["service"].as_str().expect("a name"), row["work"].as_str().expect("a word"))).collect();
        assert_eq!(work, expected, "{to}");
    }
}

#[test]
fn a_secret_of_another_name_is_a_change_although_no_value_is_known() {
    let with = |name: &str| {
        MANIFEST.replace(
            "{ context: web,",
            &format!("{{ context: web, secrets: [{name}], build_args: {{ A: '${{{name}}}' }},"),
        )
    };
    let project = shop().file("deploy.yaml", &with("ONE")).committed().file("deploy.yaml", &with("TWO")).committed();
    let rows = rows(&project, "HEAD~1", &["web"]);
    assert_eq!(rows[0]["changed"], true);
    assert!(rows[0]["reason"].as_str().expect("a reason").contains("build_args"), "{}", rows[0]);
}

#[test]
fn a_filter_that_is_narrowed_does_not_hide_the_change_beside_it() {
    let project = shop()
        .file("deploy.yaml", &MANIFEST.replace("[api/**, libs/**, vend/**]", "[api/**]"))
        .file("libs/x/l", "other\n")
        .committed();
    assert_eq!(changed(&project), ["api"]);
    let project = project.file("libs/x/l", "third\n").committed();
    assert_eq!(changed(&project), Vec::<String>::new());
}

#[test]
fn an_old_deploy_yaml_that_cannot_be_read_is_a_change_in_words() {
    let project = shop().file("deploy.yaml", "version: 1\nwhatever: true\n").committed();
    let project = project.file("deploy.yaml", MANIFEST).committed();
    let rows = rows(&project, "HEAD~1", &[]);
    for row in &rows {
        assert_eq!(row["changed"], true);
        assert!(row["reason"].as_str().expect("a reason").contains("cannot read deploy.yaml"), "{row}");
    }
}

#[test]
fn a_base_that_a_shallow_clone_does_not_have_is_fetched() {
    let mut project = shop();
    let base = project.head();
    for number in 0..3 {
        project = project.file("web/app", &format!("{number}\n")).committed();
    }
    let clone = shallow(&project);
    let ran = clone.shipit(&["changed", "--env", "dev", "--base", &base]).exits(0);
    ran.says("is fetched from origin").says("web/app changed since");
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).trim(), project.head());
    // A branch of the remote that the clone does not follow.
    let clone = shallow(&project);
    project.git(&["branch", "target", &base]);
    assert_eq!(changed_since(&clone, "origin/target"), ["web"]);
    let missing = "0123456789012345678901234567890123456789";
    clone.shipit(&["changed", "--env", "dev", "--base", missing]).exits(2).says("there is no commit").says("hint:");
    clone.shipit(&["changed", "--env", "dev", "--base", "--output"]).exits(2);
}

#[test]
fn each_pipeline_gets_its_form() {
    let project = shop().file("api/app", "two\n").committed();
    let said = |format: &str| {
        let ran = project.shipit(&["changed", "--env", "dev", "--base", "HEAD~1", "--format", format]).exits(0);
        ran.stdout
    };
    assert_eq!(said("lines"), "api\n");
    assert_eq!(said("json"), "[\"api\"]\n");
    assert_eq!(said("bitbucket"), "CHANGED=true\nCHANGED_API=true\nCHANGED_WEB=false\n");
    assert_eq!(said("github"), "changed=true\nservices=[\"api\"]\nchanged_api=true\nchanged_web=false\n");
    assert_eq!(said("github-matrix"), "{\"include\":[{\"service\":\"api\"}]}\n");
    let table = said("text");
    assert!(table.contains("api/app changed since"), "{table}");
    let project = project.file("deploy.yaml", &MANIFEST.replace("libs/**", "lib/**")).committed();
    let ran = project.shipit(&["changed", "--env", "dev", "--base", "HEAD~2", "--explain"]).exits(0);
    ran.says("api/app  by api/**").says("the pattern `lib/**` of deploy.yaml fits no file").says("(by --base)");
}

#[test]
fn a_pattern_that_means_nothing_is_refused_with_its_place() {
    let project = shop().file("deploy.yaml", &MANIFEST.replace("libs/**", "../libs")).committed();
    project.shipit(&["check"]).exits(2).says("deploy.yaml:8").says("there is no `..` in a pattern");
}

/// The command in a folder of the project.
fn run_in(project: &Project, folder: &str, args: &[&str]) -> Ran {
    project.command(args).current_dir(project.path(folder)).output().expect("shipit runs").into()
}

#[test]
fn a_run_in_a_folder_sees_the_whole_repository() {
    let project = shop().file("api/app", "two\n").file("web/app", "two\n").committed();
    project.git(&["config", "diff.relative", "true"]);
    let args = ["changed", "--env", "dev", "--base", "HEAD~1", "--format", "lines", "--config", "../deploy.yaml"];
    let ran = run_in(&project, "web", &args).exits(0);
    assert_eq!(ran.stdout, "api\nweb\n");
}

#[test]
fn a_detached_head_is_a_commit_like_any_other() {
    let project = shop().file("api/app", "two\n").committed();
    project.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn case_and_the_form_of_letters_count() {
    // Where the file system does not tell case apart, git is told so; what is compared are the commit's own names.
    let project = shop();
    project.git(&["config", "core.ignorecase", "true"]);
    let project = project.file("API/app", "x\n").committed();
    assert_eq!(changed(&project), Vec::<String>::new());
    // The same letter, written as one character in the pattern and as two in the folder's name.
    let manifest = MANIFEST.replace("libs/**", "\u{e9}t/**");
    let project = shop().file("deploy.yaml", &manifest).committed().file("e\u{301}t/x", "x\n").committed();
    let ran = project.shipit(&["changed", "--env", "dev", "--base", "HEAD~1", "--explain"]).exits(0);
    ran.says("nothing that concerns it has changed").says("the pattern `\u{e9}t/**` of deploy.yaml fits no file");
    let project = project.file("\u{e9}t/x", "x\n").committed();
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn what_lies_behind_a_link_is_a_file_of_its_own_path() {
    let project = shop();
    std::os::unix::fs::symlink("../libs/x", project.path("web/lib")).expect("a link");
    commit(&project);
    let project = project.file("libs/x/l", "other\n").committed();
    // The builder is sent the link of `web`, and nothing behind it.
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn a_dockerfile_outside_of_the_context_counts() {
    let manifest = MANIFEST.replace("{ context: web,", "{ context: web, dockerfile: ../build/web.Dockerfile,");
    let project = shop().file("deploy.yaml", &manifest).file("build/web.Dockerfile", DOCKERFILE).committed();
    let project = project.file("build/other", "x\n").committed();
    assert_eq!(changed(&project), Vec::<String>::new());
    let project = project.file("build/web.Dockerfile", "FROM scratch\nCOPY app /other\n").committed();
    assert_eq!(changed(&project), ["web"]);
    let project = project.file("build/web.Dockerfile.dockerignore", "notes\n").committed();
    assert_eq!(changed(&project), ["web"]);
}

#[test]
fn a_pointer_of_lfs_is_a_file() {
    let pointer = |number: u32| format!("version https://git-lfs.github.com/spec/v1\noid sha256:{number}\nsize 5\n");
    let project = shop().file("api/model", &pointer(1)).committed().file("api/model", &pointer(2)).committed();
    assert_eq!(changed(&project), ["api"]);
}

#[test]
fn what_the_remote_does_not_give_by_its_hash_is_deepened_for() {
    let mut project = shop();
    let base = project.head();
    for number in 0..3 {
        project = project.file("web/app", &format!("{number}\n")).committed();
    }
    let clone = shallow(&project);
    project.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
    // The newer protocol asks for no permission.
    clone.git(&["config", "protocol.version", "0"]);
    let ran = clone.shipit(&["changed", "--env", "dev", "--base", &base]).exits(0);
    ran.says("does not give it by its hash: the clone is deepened").says("web/app changed since");
}

#[test]
fn the_repository_of_another_user_is_refused_with_what_to_do() {
    let project = shop().file("api/app", "two\n").committed();
    let [top, git] = ["", ".git"].map(|path| project.path(path));
    // Only root may give a folder away; for others git's own words are taken apart in a test of `git`.
    if [&top, &git].iter().any(|path| std::os::unix::fs::chown(path, Some(65534), None).is_err()) {
        return;
    }
    let args = ["changed", "--env", "dev", "--base", "HEAD~1", "--format", "lines"];
    project.shipit(&args).exits(2).says("git does not trust the repository").says("--add safe.directory");
    let project = project.file(".home/.gitconfig", "[safe]\n\tdirectory = *\n");
    assert_eq!(project.shipit(&args).exits(0).stdout, "api\n");
}

#[test]
fn a_deploy_yaml_that_git_does_not_know_is_a_change() {
    let project = shop().file(".gitignore", "own.yaml\n").committed().file("own.yaml", MANIFEST);
    let rows = rows(&project, "HEAD", &["--config", "own.yaml"]);
    for row in &rows {
        assert_eq!(row["changed"], true);
        assert!(row["reason"].as_str().expect("a reason").contains("there was no deploy.yaml at the base"), "{row}");
    }
}
