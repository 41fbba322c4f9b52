// SPDX-License-Identifier: GPL-2.0-or-later
//! The commands that give a server the least rights at an engine, as docs/REMOTES.md has them. setup shows them: it has no
//! credentials of an administrator of the engine.

/// What an engine must allow, for a server whose copies lie below these prefixes. `at` is the bucket, the mount or the user.
pub(super) fn lines(kind: &str, at: &str, prefixes: &[&str]) -> Vec<String> {
    let server = prefixes.first().and_then(|prefix| prefix.rsplit('/').next()).unwrap_or_default();
    let each = |line: &dyn Fn(&str) -> String| prefixes.iter().map(|prefix| line(prefix)).collect::<Vec<_>>();
    match kind {
        "s3" => {
            let objects = each(&|prefix| format!("\"arn:aws:s3:::{at}/{prefix}/*\"")).join(", ");
            let listed = each(&|prefix| format!("\"{prefix}/*\"")).join(", ");
            let one = |list: String| if prefixes.len() == 1 { list } else { format!("[{list}]") };
            [
                "{ \"Version\": \"2012-10-17\",".to_owned(),
                "  \"Statement\": [".to_owned(),
                "    { \"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\", \"s3:PutObject\", \"s3:DeleteObject\"],"
                    .to_owned(),
                format!("      \"Resource\": {} }},", one(objects)),
                "    { \"Effect\": \"Allow\", \"Action\": \"s3:ListBucket\",".to_owned(),
                format!("      \"Resource\": \"arn:aws:s3:::{at}\","),
                format!(
                    "      \"Condition\": {{ \"StringLike\": {{ \"s3:prefix\": {} }} }} }} ] }}",
                    one(listed)
                ),
            ]
            .into()
        }
        "vault" => {
            let mut lines = vec![
                format!("bao secrets enable -path={at} -version=2 kv"),
                format!("bao policy write keyring-{server} - <<'END'"),
            ];
            for prefix in prefixes {
                lines.push(format!(
                    "path \"{at}/data/{prefix}/*\"     {{ capabilities = [\"create\", \"read\", \"update\"] }}"
                ));
                lines.push(format!(
                    "path \"{at}/metadata/{prefix}/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"delete\", \
                     \"list\"] }}"
                ));
            }
            lines.extend([
                "END".to_owned(),
                "bao auth enable approle".to_owned(),
                format!(
                    "bao write auth/approle/role/{server} token_policies=keyring-{server} token_ttl=1h token_max_ttl=24h \\"
                ),
                "    secret_id_ttl=0 secret_id_num_uses=0".to_owned(),
                format!("bao read -field=role_id auth/approle/role/{server}/role-id"),
                format!("bao write -f -field=secret_id auth/approle/role/{server}/secret-id"),
            ]);
            lines
        }
        _ if at.is_empty() => Vec::new(),
        _ => {
            let mut lines = vec![format!("etcdctl role add {at}")];
            lines.extend(each(&|prefix| {
                format!("etcdctl role grant-permission {at} readwrite --prefix /{prefix}/")
            }));
            lines.push(format!("etcdctl user add {at} && etcdctl user grant-role {at} {at}"));
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_are_those_that_the_documentation_gives() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/REMOTES.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (kind, at) in [("s3", "biobank-keys"), ("vault", "secret"), ("etcd", "db1")] {
            let lines = lines(kind, at, &["keys/db1"]);
            assert!(page.contains(&lines.join("\n")), "REMOTES.md lacks\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn two_prefixes_at_one_engine_get_rights_to_both_and_no_other() {
        for (kind, at) in [("s3", "b"), ("vault", "secret"), ("etcd", "db1")] {
            let lines = lines(kind, at, &["keys/db1", "other/db2"]).join("\n");
            assert!(lines.contains("keys/db1/") && lines.contains("other/db2/"), "{lines}");
        }
        let policy = lines("s3", "b", &["a", "c"]).join("\n");
        let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
        assert_eq!(policy["Statement"][0]["Resource"][1], "arn:aws:s3:::b/c/*");
    }
}
