//! ECR's scans, basic and enhanced, as one type: `DescribeImageScanFindings`, `StartImageScan` and
//! `GetRegistryScanningConfiguration`.

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::operation::describe_image_scan_findings::DescribeImageScanFindingsOutput;
use aws_sdk_ecr::types::{
    EnhancedImageScanFinding, ImageIdentifier, ImageScanFinding, ImageScanFindings, RegistryScanningConfiguration,
    RegistryScanningRule, ScanFrequency, ScanType, VulnerablePackage,
};
use jiff::Timestamp;
use serde::Serialize;

use super::wildcard;
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::scan::Severity;

/// Of each page; ECR's own limit.
const PAGE: i32 = 1000;
/// No image has so many findings; an answer without an end is a fault.
const PAGES: usize = 100;

/// What ECR says of one image's scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// `COMPLETE`, `ACTIVE`, `PENDING`…, as ECR says it.
    pub(crate) status: String,
    pub(crate) description: Option<String>,
    /// `None` while there are no results.
    pub(crate) findings: Option<Vec<Vulnerability>>,
    /// When the results came.
    pub(crate) completed_at: Option<Timestamp>,
}

/// One vulnerability in one or more packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Vulnerability {
    /// `CVE-…`.
    pub(crate) id: String,
    pub(crate) severity: Severity,
    pub(crate) packages: Vec<Package>,
    pub(crate) url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) installed: String,
    /// The version that has it no more, where the scanner knows one.
    pub(crate) fixed: Option<String>,
}

/// How the account's registry is scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry {
    /// By Inspector, continuously; nobody can start such a scan.
    pub(crate) enhanced: bool,
    /// Filters of the repositories whose images are scanned when they are pushed.
    on_push: Vec<String>,
}

impl Registry {
    /// Whether a rule has this repository's images scanned without being asked.
    pub(crate) fn covers(&self, repository: &str) -> bool {
        // Without a wildcard, a filter is any part of the name.
        let matches = |filter: &String| match filter.contains('*') {
            true => wildcard(filter, repository),
            false => repository.contains(filter.as_str()),
        };
        self.on_push.iter().any(matches)
    }
}

/// The scan of the image with that digest; `None` while ECR knows of none, as in the first seconds after a push.
pub(crate) async fn findings(clients: &Clients, repository: &str, digest: &str) -> Result<Option<Scan>> {
    let mut whole: Option<Scan> = None;
    let mut token = None;
    for _ in 0..PAGES {
        let call = clients
            .ecr
            .describe_image_scan_findings()
            .repository_name(repository)
            .image_id(image(digest))
            .max_results(PAGE)
            .set_next_token(token);
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) if matches!(error.code(), Some("ScanNotFoundException" | "ImageNotFoundException")) => {
                return Ok(None);
            }
            Err(error) => return Err(aws("ecr:DescribeImageScanFindings", &error)),
        };
        let page = scan(&answer);
        match &mut whole {
            Some(whole) => whole.findings.get_or_insert_default().extend(page.findings.unwrap_or_default()),
            None => whole = Some(page),
        }
        token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(whole);
        }
    }
    Err(Error::new(Exit::Aws, "the answer of ecr:DescribeImageScanFindings has no end"))
}

/// Asks for a basic scan.
///
/// # Errors
/// None can be begun now, because there was one within the last day or because Inspector scans this registry
/// ([`Exit::Gate`]); it is not allowed ([`Exit::Aws`]).
pub(crate) async fn start(clients: &Clients, repository: &str, digest: &str) -> Result<()> {
    match clients.ecr.start_image_scan().repository_name(repository).image_id(image(digest)).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if matches!(
                error.code(),
                Some("LimitExceededException" | "ValidationException" | "ImageNotFoundException")
            ) =>
        {
            Err(Error::new(Exit::Gate, error.message().or(error.code()).unwrap_or_default().to_owned()))
        }
        Err(error) => Err(aws("ecr:StartImageScan", &error)),
    }
}

pub(crate) async fn registry(clients: &Clients) -> Result<Registry> {
    let answer = clients.ecr.get_registry_scanning_configuration().send().await;
    let answer = answer.map_err(|error| aws("ecr:GetRegistryScanningConfiguration", &error))?;
    let configuration = answer.scanning_configuration();
    let rules = configuration.map(RegistryScanningConfiguration::rules).unwrap_or_default();
    let on_push = rules.iter().filter(|rule| *rule.scan_frequency() != ScanFrequency::Manual);
    Ok(Registry {
        enhanced: configuration.and_then(|configuration| configuration.scan_type()) == Some(&ScanType::Enhanced),
        on_push: on_push
            .flat_map(RegistryScanningRule::repository_filters)
            .map(|filter| filter.filter().to_owned())
            .collect(),
    })
}

fn image(digest: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest).build()
}

fn scan(answer: &DescribeImageScanFindingsOutput) -> Scan {
    let status = answer.image_scan_status();
    Scan {
        status: status.and_then(|status| status.status()).map_or("(none)", |status| status.as_str()).to_owned(),
        description: status.and_then(|status| status.description()).filter(|text| !text.is_empty()).map(str::to_owned),
        findings: answer.image_scan_findings().map(vulnerabilities),
        completed_at: answer
            .image_scan_findings()
            .and_then(|findings| findings.image_scan_completed_at())
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
    }
}

fn vulnerabilities(findings: &ImageScanFindings) -> Vec<Vulnerability> {
    let basic = findings.findings().iter().map(basic);
    // Inspector's own suppression rules and closed findings are settled already.
    let open = |finding: &&EnhancedImageScanFinding| !matches!(finding.status(), Some("SUPPRESSED" | "CLOSED"));
    basic.chain(findings.enhanced_findings().iter().filter(open).map(enhanced)).collect()
}

fn basic(finding: &ImageScanFinding) -> Vulnerability {
    let attribute = |key: &str| {
        let found = finding.attributes().iter().find(|attribute| attribute.key() == key);
        found.and_then(|attribute| attribute.value()).map(str::to_owned)
    };
    let package = attribute("package_name").map(|name| Package {
        name,
        installed: attribute("package_version").unwrap_or_default(),
        fixed: attribute("fixed_in_version").filter(|version| is_version(version)),
    });
    Vulnerability {
        id: finding.name().unwrap_or("(unnamed)").to_owned(),
        severity: Severity::of(finding.severity().map_or("", |severity| severity.as_str())),
        packages: package.into_iter().collect(),
        url: finding.uri().map(str::to_owned),
    }
}

fn enhanced(finding: &EnhancedImageScanFinding) -> Vulnerability {
    let details = finding.package_vulnerability_details();
    Vulnerability {
        id: details
            .and_then(|details| details.vulnerability_id())
            .or(finding.title())
            .unwrap_or("(unnamed)")
            .to_owned(),
        severity: Severity::of(finding.severity().unwrap_or_default()),
        packages: details
            .map(|details| details.vulnerable_packages().iter().map(package).collect())
            .unwrap_or_default(),
        url: details.and_then(|details| details.source_url()).map(str::to_owned),
    }
}

fn package(package: &VulnerablePackage) -> Package {
    let version = package.version().unwrap_or_default();
    Package {
        name: package.name().unwrap_or_default().to_owned(),
        installed: match package.release() {
            Some(release) if !release.is_empty() => format!("{version}-{release}"),
            _ => version.to_owned(),
        },
        fixed: package.fixed_in_version().filter(|version| is_version(version)).map(str::to_owned),
    }
}

/// Inspector writes words where no version has the fix.
fn is_version(text: &str) -> bool {
    !text.is_empty() && !matches!(text, "NotAvailable" | "N/A" | "None")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Registry, findings, start};
    use crate::aws::fake::Fake;
    use crate::exit::Exit;
    use crate::scan::Severity;

    #[test]
    fn a_filter_is_a_wildcard_or_a_part_of_the_name() {
        for (filter, expected) in [("*", true), ("api", true), ("api-*", true), ("api*d", false), ("web", false)] {
            let registry = Registry { enhanced: true, on_push: vec![filter.to_owned()] };
            assert_eq!(registry.covers("team/api-dev"), expected && filter != "api-*", "{filter}");
        }
    }

    #[tokio::test]
    async fn pages_of_enhanced_findings_come_together() {
        let fake = Fake::start(|_, input| {
            let finding = |id: &str, status: &str| {
                json!({"severity": "HIGH", "status": status, "packageVulnerabilityDetails": {
                    "vulnerabilityId": id, "sourceUrl": "https://example.com",
                    "vulnerablePackages": [{"name": "zlib", "version": "1.2", "release": "3", "fixedInVersion": "1.3"},
                                           {"name": "other", "version": "2", "fixedInVersion": "NotAvailable"}],
                }})
            };
            let (ids, next) = match input["nextToken"].as_str() {
                None => (json!([finding("CVE-1", "ACTIVE"), finding("CVE-2", "SUPPRESSED")]), json!("more")),
                Some(_) => (json!([finding("CVE-3", "ACTIVE")]), json!(null)),
            };
            Ok(json!({"imageScanStatus": {"status": "ACTIVE"}, "imageScanFindings": {"enhancedFindings": ids},
                      "nextToken": next}))
        })
        .await;
        let scan = findings(&fake.clients, "api", "sha256:1").await.unwrap().unwrap();
        let found = scan.findings.unwrap();
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["CVE-1", "CVE-3"]);
        assert_eq!((found[0].severity, found[0].packages.len()), (Severity::High, 2));
        assert_eq!(
            (found[0].packages[0].installed.as_str(), found[0].packages[0].fixed.as_deref()),
            ("1.2-3", Some("1.3"))
        );
        assert_eq!(found[0].packages[1].fixed, None);
    }

    #[tokio::test]
    async fn a_scan_that_is_not_there_and_one_that_cannot_begin_are_no_errors() {
        let fake = Fake::start(|operation, _| match operation {
            "StartImageScan" => Err("LimitExceededException"),
            _ => Err("ScanNotFoundException"),
        })
        .await;
        assert_eq!(findings(&fake.clients, "api", "sha256:1").await.unwrap(), None);
        assert_eq!(start(&fake.clients, "api", "sha256:1").await.unwrap_err().exit(), Exit::Gate);
        let fake = Fake::start(|_, _| Err("AccessDeniedException")).await;
        assert!(
            findings(&fake.clients, "api", "sha256:1").await.unwrap_err().hints()[0]
                .contains("ecr:DescribeImageScanFindings")
        );
    }
}
