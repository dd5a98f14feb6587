//! What the reader makes of Dockerfiles: the images that they take from outside, and what it is not sure of.

use std::collections::BTreeMap;

use super::{Scope, outside};

fn read_with(text: &str, args: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let args: BTreeMap<&str, &str> = args.iter().copied().collect();
    let scope = Scope { args: &args, target: "linux/amd64", engine: Some("linux/arm64/v8") };
    let images = outside(text.as_bytes(), &scope).map_err(|error| error.to_string())?;
    let name = |image: super::Image| match image.platform {
        Some(platform) => format!("{} {platform}", image.name),
        None => image.name,
    };
    Ok(images.into_iter().map(name).collect())
}

#[track_caller]
fn takes(text: &str, images: &[&str]) {
    assert_eq!(read_with(text, &[]).unwrap(), images, "{text}");
}

#[track_caller]
fn is_unsure(text: &str, why: &str) {
    match read_with(text, &[]) {
        Ok(images) => panic!("{text}\n{images:?}"),
        Err(error) => assert!(error.contains(why), "{text}\n{error}"),
    }
}

#[test]
fn bases_and_stages() {
    takes("FROM scratch\nCOPY . /\n", &[]);
    takes("from python:3.12 as Build\nfrom BUILD\ncopy --from=build /a /a\n", &["python:3.12"]);
    takes("FROM a AS x\nFROM b AS y\nFROM x\nCOPY --from=1 / /\nCOPY --from=y --chown=1 / /\n", &["a", "b"]);
    takes("FROM a\nFROM a\nCOPY --from=nginx:1 /x /x\n", &["a", "nginx:1"]);
    takes("FROM a@sha256:00 AS x\n", &["a@sha256:00"]);
    takes("FROM --platform=linux/arm64 a\nFROM --platform=$BUILDPLATFORM b\n", &["a linux/arm64", "b linux/arm64/v8"]);
    takes("FROM a-$TARGETARCH-${BUILDVARIANT}-$TARGETOS\n", &["a-amd64-v8-linux"]);
    takes("\u{feff}FROM a\r\nRUN b\r\n", &["a"]);
    // A number that no stage has is the name of an image.
    takes("FROM a\nCOPY --from=7 / /\n", &["7", "a"]);
}

#[test]
fn arguments_before_the_first_stage() {
    let text = "ARG VERSION=3.12\nARG NAME=\"python\" SUFFIX\nARG FULL=${NAME}:$VERSION\nFROM ${FULL}${SUFFIX:+-}${SUFFIX:-}\n";
    for (args, image) in [
        (&[][..], "python:3.12"),
        (&[("VERSION", "3.13")], "python:3.13"),
        (&[("SUFFIX", "slim"), ("NAME", "registry.example/python")], "registry.example/python:3.12-slim"),
        (&[("FULL", "other")], "other"),
    ] {
        assert_eq!(read_with(text, args).unwrap(), [image], "{args:?}");
    }
    takes("ARG A\nFROM x${A:-y}${A-z}${A+w}\n", &["xyz"]);
    takes("ARG A=a'b'\\$c\nFROM $A\n", &["ab$c"]);
    // An argument of a stage says nothing to the next FROM.
    takes("ARG A=1\nFROM x AS s\nARG A=2\nFROM y:$A\n", &["x", "y:1"]);
    assert_eq!(read_with("FROM x:$TARGETARCH", &[("TARGETARCH", "arm")]).unwrap(), ["x:arm"]);
    is_unsure("FROM x:$VERSION\n", "no ARG before it declares");
    is_unsure("FROM x:$TARGETSTAGE\n", "no ARG before it declares");
    is_unsure("ARG A\nFROM $A\n", "names no image");
    is_unsure("ARG A=b\nFROM ${A%b}\n", "not understood");
    is_unsure("ARG A=b\nFROM ${A\n", "not understood");
    is_unsure("ARG A=\"b\nFROM x\n", "quotes that do not close");
}

#[test]
fn comments_continuation_and_directives() {
    takes("# a comment\n\nFROM \\\n  # in between\n\n  a \\ \n  AS b\nRUN x \\\n  && y\nFROM c\n", &["a", "c"]);
    takes("# escape=`\nFROM `\n a\nRUN C:\\\nCOPY --from=b x y\n", &["a", "b"]);
    // Too late for a directive: it is a comment, and the backslash goes on.
    takes("#\n# escape=`\nFROM \\\n a\n", &["a"]);
    takes("# check=skip=all\n#syntax=docker/dockerfile:1\nFROM a\n", &["a", "docker/dockerfile:1 linux/arm64/v8"]);
    takes(
        "# syntax = docker.io/docker/dockerfile:1@sha256:0\nFROM a\n",
        &["a", "docker.io/docker/dockerfile:1@sha256:0 linux/arm64/v8"],
    );
    is_unsure("# syntax=example/frontend\nFROM a\n", "another program");
    is_unsure("# escape=x\nFROM a\n", "escape character");
    is_unsure("FROM a\nRUN echo \\\\\nCOPY . .\n", "ends in");
    is_unsure("// syntax=x\nFROM a\n", "begins with");
    is_unsure("#!/usr/bin/x\nFROM a\n", "begins with");
    let error = read_with("FROM a\n", &[("BUILDKIT_SYNTAX", "x")]).unwrap_err();
    assert!(error.contains("BUILDKIT_SYNTAX"), "{error}");
}

#[test]
fn here_documents_are_no_instructions() {
    takes("FROM a\nRUN <<EOF\nFROM b\n# EOF\nEOF\nCOPY --from=c x y\n", &["a", "c"]);
    takes("FROM a\nRUN cat <<\"E F\" && x <<-TWO\nFROM b\nE F\n\tFROM c\n\tTWO\nFROM d\n", &["a", "d"]);
    takes("FROM a\nCOPY <<one.txt <<two.txt /x/\nFROM b\none.txt\nFROM c\ntwo.txt\nFROM d\n", &["a", "d"]);
    takes("FROM a\nONBUILD RUN <<EOF\nFROM b\nEOF\n", &["a"]);
    // Shell arithmetic, a here-string and a quoted one are none.
    takes("FROM a\nRUN echo $((1<<2)) && cat <<< x && echo '<<EOF'\nFROM b\n", &["a", "b"]);
    is_unsure("FROM a\nRUN <<EOF\nx\n", "does not end");
    is_unsure("FROM a\nRUN echo it's <<EOF\nEOF\n", "quotes that do not close");
}

#[test]
fn mounts_take_from_images_too() {
    takes(
        "FROM a\nRUN --mount=type=bind,from=b,source=/x --mount=type=secret,id=S,from=c make --mount=from=no\n",
        &["a", "b", "c"],
    );
    takes("FROM a AS s\nFROM s\nRUN --mount=type=cache,target=/c,from=s --network=none x\n", &["a"]);
    is_unsure("FROM a\nRUN --mount=type=bind,from=$B x\n", "a variable");
    is_unsure("FROM a\nRUN --mount=type=bind,\"source=a b\" x\n", "quotes");
    is_unsure("FROM a\nCOPY --from=${B} x y\n", "a variable");
    is_unsure("FROM a\nCOPY --from=late x y\nFROM b AS late\n", "before it is there");
}

#[test]
fn what_is_fetched_is_sure_only_with_its_checksum() {
    takes("FROM a\nADD x y /z\nADD [\"x y\", \"/z\"]\n", &["a"]);
    takes("FROM a\nADD --checksum=sha256:00 https://example.com/x.tar /z\n", &["a"]);
    for source in [
        "https://example.com/x.tar",
        "http://example.com/x",
        "git@github.com:a/b.git",
        "https://github.com/a/b.git#main",
        "ssh://git@example.com/x",
        "github.com/a/b",
    ] {
        is_unsure(&format!("FROM a\nADD {source} /z\n"), "ADD fetches");
        is_unsure(&format!("FROM a\nONBUILD ADD [\"{source}\", \"/z\"]\n"), "ADD fetches");
    }
    is_unsure("FROM a\nADD --checksum=sha256:$SUM https://example.com/x /z\n", "ADD fetches");
    is_unsure("FROM a\nADD --checksum=sha256:00 https://github.com/a/b.git /z\n", "ADD fetches");
    is_unsure("FROM a\nADD ${FILE} /z\n", "use COPY");
}

#[test]
fn what_is_not_known_is_not_guessed() {
    is_unsure("FROM a\nINCLUDE b\n", "not known here: INCLUDE");
    is_unsure("RUN x\nFROM a\n", "RUN before FROM");
    is_unsure("FROM --other=x a\n", "--other");
    let text = b"FROM a\n\xff\n";
    let scope = Scope { args: &BTreeMap::new(), target: "linux/amd64", engine: None };
    assert!(outside(text, &scope).unwrap_err().why.contains("UTF-8"));
    assert!(outside(b"FROM --platform=$BUILDPLATFORM a", &scope).unwrap_err().why.contains("there is no engine"));
    takes(
        "FROM a\nCMD x\nLABEL x=y\nMAINTAINER x\nEXPOSE 1\nENV A=b\nENTRYPOINT x\nVOLUME /x\nUSER x\nWORKDIR /\nSTOPSIGNAL 9\nHEALTHCHECK NONE\nSHELL [\"x\"]\nARG X=1\n",
        &["a"],
    );
}
