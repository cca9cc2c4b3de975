import {fromDdl, type StructType} from '../../sdk/index.ts';

/** An account as it appears inside other objects. */
const ACCOUNT =
  'STRUCT<login: STRING, id: BIGINT, node_id: STRING, type: STRING, site_admin: BOOLEAN, html_url: STRING>';
const LABEL = 'STRUCT<id: BIGINT, node_id: STRING, name: STRING, color: STRING, description: STRING, default: BOOLEAN>';
const MILESTONE =
  'STRUCT<id: BIGINT, number: BIGINT, title: STRING, state: STRING, due_on: TIMESTAMP, created_at: TIMESTAMP, updated_at: TIMESTAMP, closed_at: TIMESTAMP>';
const REACTIONS =
  'STRUCT<total_count: BIGINT, `+1`: BIGINT, `-1`: BIGINT, laugh: BIGINT, hooray: BIGINT, confused: BIGINT, heart: BIGINT, rocket: BIGINT, eyes: BIGINT>';
const TEAM = 'STRUCT<id: BIGINT, node_id: STRING, name: STRING, slug: STRING>';
const REF =
  'STRUCT<label: STRING, ref: STRING, sha: STRING, user: STRUCT<login: STRING, id: BIGINT>, repo: STRUCT<id: BIGINT, full_name: STRING>>';
const SIGNATURE = 'STRUCT<name: STRING, email: STRING, date: TIMESTAMP>';
const MEMBER =
  'node_id STRING, login STRING, type STRING, site_admin BOOLEAN, avatar_url STRING, url STRING, html_url STRING';

/** Columns by table; names and meaning are the API's, `repository` and `organization` say where a row was read. */
const DDL: Readonly<Record<string, string>> = {
  organizations: `id BIGINT NOT NULL, node_id STRING, login STRING, name STRING, company STRING, description STRING, blog STRING,
    location STRING, email STRING, type STRING, is_verified BOOLEAN, public_repos BIGINT, public_gists BIGINT, followers BIGINT,
    following BIGINT, total_private_repos BIGINT, owned_private_repos BIGINT, url STRING, html_url STRING, avatar_url STRING,
    created_at TIMESTAMP, updated_at TIMESTAMP, archived_at TIMESTAMP`,
  repositories: `id BIGINT NOT NULL, node_id STRING, name STRING, full_name STRING, owner ${ACCOUNT}, private BOOLEAN, visibility STRING,
    description STRING, fork BOOLEAN, homepage STRING, language STRING, license STRUCT<key: STRING, name: STRING, spdx_id: STRING>,
    topics ARRAY<STRING>, default_branch STRING, archived BOOLEAN, disabled BOOLEAN, is_template BOOLEAN, has_issues BOOLEAN,
    has_projects BOOLEAN, has_wiki BOOLEAN, has_pages BOOLEAN, has_discussions BOOLEAN, allow_forking BOOLEAN, size BIGINT,
    forks_count BIGINT, stargazers_count BIGINT, watchers_count BIGINT, open_issues_count BIGINT, url STRING, html_url STRING,
    clone_url STRING, ssh_url STRING, created_at TIMESTAMP, updated_at TIMESTAMP, pushed_at TIMESTAMP`,
  users: `organization STRING NOT NULL, id BIGINT NOT NULL, ${MEMBER}, role STRING`,
  teams: `organization STRING, id BIGINT NOT NULL, node_id STRING, slug STRING, name STRING, description STRING, privacy STRING,
    notification_setting STRING, permission STRING, url STRING, html_url STRING, parent ${TEAM}`,
  team_members: `organization STRING, team_id BIGINT NOT NULL, team_slug STRING, id BIGINT NOT NULL, ${MEMBER}, role STRING`,
  issues: `repository STRING, id BIGINT NOT NULL, node_id STRING, number BIGINT, title STRING, body STRING, state STRING, state_reason STRING,
    is_pull_request BOOLEAN, user ${ACCOUNT}, assignees ARRAY<${ACCOUNT}>, labels ARRAY<${LABEL}>, milestone ${MILESTONE}, locked BOOLEAN,
    active_lock_reason STRING, comments BIGINT, author_association STRING, draft BOOLEAN, pull_request STRUCT<url: STRING, html_url: STRING, merged_at: TIMESTAMP>,
    closed_by ${ACCOUNT}, reactions ${REACTIONS}, type STRUCT<id: BIGINT, name: STRING>, url STRING, html_url STRING,
    created_at TIMESTAMP, updated_at TIMESTAMP NOT NULL, closed_at TIMESTAMP`,
  pull_requests: `repository STRING, id BIGINT NOT NULL, node_id STRING, number BIGINT, title STRING, body STRING, state STRING, draft BOOLEAN,
    locked BOOLEAN, active_lock_reason STRING, user ${ACCOUNT}, assignees ARRAY<${ACCOUNT}>, requested_reviewers ARRAY<${ACCOUNT}>,
    requested_teams ARRAY<${TEAM}>, labels ARRAY<${LABEL}>, milestone ${MILESTONE}, author_association STRING, head ${REF}, base ${REF},
    merge_commit_sha STRING, auto_merge STRUCT<merge_method: STRING, commit_title: STRING, commit_message: STRING>, url STRING, html_url STRING,
    created_at TIMESTAMP, updated_at TIMESTAMP NOT NULL, closed_at TIMESTAMP, merged_at TIMESTAMP`,
  comments: `repository STRING, id BIGINT NOT NULL, node_id STRING, issue_number BIGINT, issue_url STRING, user ${ACCOUNT}, body STRING,
    author_association STRING, reactions ${REACTIONS}, url STRING, html_url STRING, created_at TIMESTAMP, updated_at TIMESTAMP NOT NULL`,
  review_comments: `repository STRING, id BIGINT NOT NULL, node_id STRING, pull_request_review_id BIGINT, pull_request_number BIGINT, pull_request_url STRING,
    in_reply_to_id BIGINT, user ${ACCOUNT}, body STRING, path STRING, diff_hunk STRING, commit_id STRING, original_commit_id STRING,
    line BIGINT, original_line BIGINT, start_line BIGINT, original_start_line BIGINT, side STRING, start_side STRING, subject_type STRING,
    author_association STRING, reactions ${REACTIONS}, url STRING, html_url STRING, created_at TIMESTAMP, updated_at TIMESTAMP NOT NULL`,
  reviews: `repository STRING, id BIGINT NOT NULL, node_id STRING, pull_request_number BIGINT, pull_request_url STRING, user ${ACCOUNT}, body STRING,
    state STRING, commit_id STRING, author_association STRING, html_url STRING, submitted_at TIMESTAMP`,
  commits: `repository STRING NOT NULL, sha STRING NOT NULL, node_id STRING, committed_at TIMESTAMP, authored_at TIMESTAMP, message STRING,
    commit STRUCT<author: ${SIGNATURE}, committer: ${SIGNATURE}, tree: STRUCT<sha: STRING>, comment_count: BIGINT, verification: STRUCT<verified: BOOLEAN, reason: STRING>>,
    author ${ACCOUNT}, committer ${ACCOUNT}, parents ARRAY<STRUCT<sha: STRING>>, url STRING, html_url STRING`,
  branches: `repository STRING NOT NULL, name STRING NOT NULL, commit STRUCT<sha: STRING, url: STRING>, protected BOOLEAN`,
  tags: `repository STRING NOT NULL, name STRING NOT NULL, node_id STRING, commit STRUCT<sha: STRING, url: STRING>, zipball_url STRING, tarball_url STRING`,
  releases: `repository STRING, id BIGINT NOT NULL, node_id STRING, tag_name STRING, target_commitish STRING, name STRING, body STRING, draft BOOLEAN,
    prerelease BOOLEAN, author ${ACCOUNT}, assets ARRAY<STRUCT<id: BIGINT, name: STRING, label: STRING, content_type: STRING, state: STRING, size: BIGINT, download_count: BIGINT, browser_download_url: STRING, created_at: TIMESTAMP, updated_at: TIMESTAMP>>,
    url STRING, html_url STRING, created_at TIMESTAMP, published_at TIMESTAMP`,
  labels: `repository STRING, id BIGINT NOT NULL, node_id STRING, name STRING, color STRING, description STRING, default BOOLEAN, url STRING`,
  milestones: `repository STRING, id BIGINT NOT NULL, node_id STRING, number BIGINT, title STRING, description STRING, state STRING, creator ${ACCOUNT},
    open_issues BIGINT, closed_issues BIGINT, url STRING, html_url STRING, due_on TIMESTAMP, created_at TIMESTAMP, updated_at TIMESTAMP, closed_at TIMESTAMP`,
  assignees: `repository STRING NOT NULL, id BIGINT NOT NULL, ${MEMBER}`,
  collaborators: `repository STRING NOT NULL, id BIGINT NOT NULL, ${MEMBER}, role_name STRING,
    permissions STRUCT<pull: BOOLEAN, triage: BOOLEAN, push: BOOLEAN, maintain: BOOLEAN, admin: BOOLEAN>`,
};

/** The columns of a table that this connector has. */
export function githubSchema(table: string): StructType {
  return fromDdl(DDL[table] ?? '');
}
