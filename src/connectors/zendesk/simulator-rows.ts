import type {JsonObject, JsonValue} from '../../core/json-value.ts';

/**
 * Fields of simulated objects: a name and, behind a colon, its kind. `s` text (default), `i` number, `b` boolean, `t` time, `d` time in
 * seconds, `j` object, `a` texts, `n` numbers, `m` minutes, `k` text as id.
 */
const FIELDS: Readonly<Record<string, string>> = {
  // Made with values of their own.
  tickets: '',
  users:
    'url name email created_at:t updated_at:t time_zone iana_time_zone phone shared_phone_number:b photo:j locale_id:i locale organization_id:i role verified:b external_id tags:a alias active:y shared:b shared_agent:b last_login_at:t two_factor_auth_enabled:b signature details notes role_type:i custom_role_id:i moderator:b ticket_restriction only_private_comments:b restricted_agent:b suspended:b default_group_id:i report_csv:b user_fields:j',
  user_identities:
    'url user_id:i type value verified:b primary:b undeliverable_count:i deliverable_state created_at:t updated_at:t',
  organizations:
    'url name shared_tickets:b shared_comments:b external_id created_at:t updated_at:t domain_names:a details notes group_id:i tags:a organization_fields:j',
  ticket_events:
    'ticket_id:i timestamp:d created_at:t updater_id:i event_type via system:j metadata:j merged_ticket_ids:n',
  ticket_audits: 'ticket_id:i created_at:t author_id:i metadata:j via:j events:l',
  ticket_metrics:
    'url ticket_id:i group_stations:i assignee_stations:i reopens:i replies:i assignee_updated_at:t requester_updated_at:t status_updated_at:t initially_assigned_at:t assigned_at:t solved_at:t latest_comment_added_at:t first_resolution_time_in_minutes:m reply_time_in_minutes:m full_resolution_time_in_minutes:m agent_wait_time_in_minutes:m requester_wait_time_in_minutes:m on_hold_time_in_minutes:m created_at:t updated_at:t',
  ticket_metric_events: 'ticket_id:i metric instance_id:i type time:t status:j sla:j',
  side_conversations:
    'id:k url ticket_id:i subject preview_text state participants:l external_ids:j created_at:t updated_at:t message_added_at:t state_updated_at:t',
  side_conversation_events: 'id:k side_conversation_id:k ticket_id:i type via actor:j message:j updates:j created_at:t',
  articles:
    'url html_url author_id:i comments_disabled:b draft:b promoted:b position:i vote_sum:i vote_count:i section_id:i created_at:t updated_at:t edited_at:t name title source_locale locale outdated:b outdated_locales:a user_segment_id:i user_segment_ids:n permission_group_id:i content_tag_ids:a label_names:a body',
  audit_logs:
    'url actor_id:i actor_name source_id:i source_type source_label action action_label change_description ip_address created_at:t',
  groups: 'url name description is_public:b default:b deleted:b created_at:t updated_at:t',
  group_memberships: 'url user_id:i group_id:i default:b created_at:t updated_at:t',
  brands:
    'url name brand_url subdomain host_mapping has_help_center:b help_center_state active:b default:b is_deleted:b logo:j ticket_form_ids:n signature_template created_at:t updated_at:t',
  brand_agents: 'url user_id:i brand_id:i created_at:t updated_at:t',
  ticket_fields:
    'url type title raw_title description raw_description position:i active:b required:b collapsed_for_agents:b regexp_for_validation title_in_portal raw_title_in_portal visible_in_portal:b editable_in_portal:b required_in_portal:b tag removable:b key agent_description system_field_options:l custom_field_options:l created_at:t updated_at:t',
  ticket_forms:
    'url name raw_name display_name raw_display_name end_user_visible:b position:i ticket_field_ids:n active:b default:b in_all_brands:b restricted_brand_ids:n end_user_conditions:l agent_conditions:l created_at:t updated_at:t',
  user_fields:
    'url type key title raw_title description raw_description position:i active:b system:b regexp_for_validation tag custom_field_options:l created_at:t updated_at:t',
  organization_fields:
    'url type key title raw_title description raw_description position:i active:b system:b regexp_for_validation tag custom_field_options:l created_at:t updated_at:t',
  organization_memberships:
    'url user_id:i organization_id:i organization_name default:b view_tickets:b created_at:t updated_at:t',
  organization_subscriptions: 'url organization_id:i user_id:i created_at:t',
  macros:
    'url title raw_title active:b description position:i default:b actions:l restriction:j created_at:t updated_at:t',
  automations: 'url title raw_title active:b position:i default:b actions:l conditions:j created_at:t updated_at:t',
  triggers:
    'url title raw_title active:b position:i default:b description category_id actions:l conditions:j created_at:t updated_at:t',
  trigger_categories: 'id:k name position:i created_at:t updated_at:t',
  views:
    'url title raw_title active:b position:i default:b description execution:j conditions:j restriction:j created_at:t updated_at:t',
  sla_policies: 'url title description position:i filter:j policy_metrics:l created_at:t updated_at:t',
  group_sla_policies: 'id:k url title description position:i filter:j policy_metrics:l created_at:t updated_at:t',
  schedules: 'name time_zone intervals:w created_at:t updated_at:t',
  satisfaction_ratings:
    'url assignee_id:i group_id:i requester_id:i ticket_id:i score comment reason reason_id:i reason_code:i created_at:t updated_at:t',
  suspended_tickets:
    'url author:j subject content cause cause_id:i message_id ticket_id:i recipient error_messages:l via:j brand_id:i created_at:t updated_at:t',
  tags: 'name:k count:i',
  custom_roles: 'name description role_type:i team_member_count:i configuration:j created_at:t updated_at:t',
  custom_statuses:
    'url status_category agent_label raw_agent_label end_user_label raw_end_user_label description raw_description end_user_description raw_end_user_description active:b default:b created_at:t updated_at:t',
  locales: 'url locale name native_name presentation_name rtl:b default:b created_at:t updated_at:t',
  deleted_tickets: 'subject actor:p previous_state deleted_at:t',
  skips: 'ticket_id:i user_id:i reason created_at:t updated_at:t',
  activities: 'url title verb user_id:i actor_id:i object:j target:j created_at:t updated_at:t',
  attributes: 'id:k url name created_at:t updated_at:t',
  deletion_schedules: 'url title description object active:b default:b conditions:j created_at:t updated_at:t',
  categories: 'url html_url position:i created_at:t updated_at:t name description locale source_locale outdated:b',
  sections:
    'url html_url category_id:i parent_section_id:i position:i sorting theme_template created_at:t updated_at:t name description locale source_locale outdated:b',
  article_comments:
    'url body author_id:i source_id:i source_type html_url locale vote_sum:i vote_count:i non_author_editor_id:i non_author_updated_at:t created_at:t updated_at:t',
  article_votes: 'url user_id:i value:i item_id:i item_type created_at:t updated_at:t',
  article_attachments:
    'url article_id:i file_name display_file_name content_url relative_path content_type size:i inline:b locale guide_media_id created_at:t updated_at:t',
  topics:
    'url name description position:i follower_count:i community_id:i html_url manageable_by user_segment_id:i created_at:t updated_at:t',
  posts:
    'url title details author_id:i topic_id:i html_url status closed:b pinned:b featured:b vote_sum:i vote_count:i comment_count:i follower_count:i content_tag_ids:a non_author_editor_id:i non_author_updated_at:t created_at:t updated_at:t',
  post_comments:
    'url body author_id:i post_id:i official:b html_url vote_sum:i vote_count:i non_author_editor_id:i non_author_updated_at:t created_at:t updated_at:t',
  post_votes: 'url user_id:i value:i item_id:i item_type created_at:t updated_at:t',
};

/** Sets of rows that the simulator knows. */
export const SIMULATED_SETS: readonly string[] = Object.keys(FIELDS);

const SET_NUMBERS = new Map(SIMULATED_SETS.map((set, index) => [set, index]));

/** A row of a set with every documented field; `seconds` is its time. */
export function simulatedRow(set: string, number: number, seconds: number): JsonObject {
  const row: Record<string, JsonValue> = hasOwnId(set) ? {} : {id: idOf(set, number)};
  for (const [name, kind] of fieldsOf(set)) row[name] = valueOf(kind, name, {number, seconds, set});
  return row;
}

const fields = new Map<string, readonly (readonly [name: string, kind: string])[]>();

function fieldsOf(set: string): readonly (readonly [name: string, kind: string])[] {
  const known = fields.get(set);
  if (known !== undefined) return known;
  const read = (FIELDS[set] ?? '').split(' ').map((field) => {
    const [name = '', kind = 's'] = field.split(':');
    return [name, kind] as const;
  });
  fields.set(set, read);
  return read;
}

function hasOwnId(set: string): boolean {
  return set === 'tags' || fieldsOf(set).some(([name]) => name === 'id');
}

/** The id of a numbered row; ids of different sets differ. */
export function idOf(set: string, number: number): number {
  return 1_000_000 * (1 + (SET_NUMBERS.get(set) ?? -1)) + number;
}

/** A time as the API writes it. */
export function isoOf(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}

interface About {
  readonly number: number;
  readonly seconds: number;
  readonly set: string;
}

function valueOf(kind: string, name: string, {number, seconds, set}: About): JsonValue {
  switch (kind) {
    case 'i':
      return 100 + (number % 50);
    case 'b':
      return number % 2 === 0;
    case 'y':
      return true;
    case 't':
      return isoOf(seconds);
    case 'd':
      return seconds;
    case 'j':
      return {kind: name, number};
    case 'l':
      return [{id: number, value: `${name} ${number}`}];
    case 'a':
      return [`${name}-${number % 5}`, 'common'];
    case 'n':
      return [100 + (number % 7), 200];
    case 'm':
      return {calendar: number * 10, business: number * 3};
    case 'p':
      return {id: 7, name: 'Ada'};
    case 'w':
      return [{start_time: 1980, end_time: 2460}];
    case 'k':
      return `${name === 'id' ? set : name}-${number}`;
    default:
      return `${name} ${number}`;
  }
}
