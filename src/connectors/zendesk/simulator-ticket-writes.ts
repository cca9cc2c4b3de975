import type {JsonObject} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';
import {visible} from './simulator-exports.ts';
import {isoOf} from './simulator-rows.ts';
import {
  idIn,
  invalid,
  type MakeRow,
  nextNumber,
  notFound,
  objectOf,
  rowIn,
  secondsOf,
  type Writing,
} from './simulator-writes.ts';

/**
 * Tickets: every write is an audit and an event, with its comment if it has one; a deleted ticket stays in the export, and for 30
 * days among the deleted ones.
 * @see https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
 */
export function ticketWriteEndpoints(make: MakeRow): readonly EndpointSpec[] {
  return [
    {path: '/api/v2/tickets', method: 'POST', handler: (request, context) => createTicket(make, {request, context})},
    {
      path: '/api/v2/tickets/{id}',
      method: 'PUT',
      handler: (request, context) => changeTicket(make, {request, context}),
    },
    {path: '/api/v2/tickets/{id}', method: 'DELETE', handler: deleteTicket},
    {path: '/api/v2/tickets/{id}/metrics', handler: metricsOf},
    {path: '/api/v2/deleted_tickets/{id}', method: 'DELETE', handler: purgeTicket},
  ];
}

function createTicket(make: MakeRow, {request, context}: Writing): SimulatedReply {
  const {comment, ...given} = rowIn(request, 'ticket');
  const body = objectOf(comment)['body'];
  if (typeof body !== 'string') return invalid('description', 'cannot be blank', 'BlankValue');
  const subject = given['subject'] ?? null;
  const row = make('tickets', nextNumber(context, 'tickets'), secondsOf(context));
  const ticket = context
    .collection('tickets')
    .insert({...row, status: 'new', ...given, raw_subject: subject, description: body});
  const number = nextNumber(context, 'ticket_metrics');
  const metrics = {...make('ticket_metrics', number, secondsOf(context)), ticket_id: ticket['id'] ?? null};
  context.collection('ticket_metrics').insert(metrics);
  const audit = addAudit(make, context, {ticket, comment: objectOf(comment)});
  return json({ticket: visible(ticket), audit}, {status: 201});
}

function changeTicket(make: MakeRow, {request, context}: Writing): SimulatedReply {
  const all = context.collection('tickets');
  const before = all.get(idIn(request));
  if (before === undefined) return notFound();
  const {comment, ...given} = rowIn(request, 'ticket');
  const ticket = all.update(all.keyOf(before), {...given, updated_at: isoOf(secondsOf(context))});
  const audit = addAudit(make, context, {ticket, comment: comment === undefined ? null : objectOf(comment)});
  return json({ticket: visible(ticket), audit});
}

/** Writes down that a ticket changed. */
function addAudit(
  make: MakeRow,
  context: HandlerContext,
  {ticket, comment}: {readonly ticket: JsonObject; readonly comment: JsonObject | null},
): JsonObject {
  const number = nextNumber(context, 'ticket_events');
  const event = make('ticket_events', number, secondsOf(context));
  const ticketId = ticket['id'] ?? null;
  const [sample] = Array.isArray(event['comments_']) ? event['comments_'] : [];
  const {body = '', public: isPublic = true} = comment ?? {};
  const texts = {body, html_body: `<p>${String(body)}</p>`, plain_body: body, public: isPublic};
  const comments = comment === null ? [] : [{...objectOf(sample), ...texts}];
  context.collection('ticket_events').insert({...event, ticket_id: ticketId, comments_: comments});
  const change = {id: Number(event['id']) + 500_000, type: 'Change', field_name: 'status'};
  const audit = {
    ...make('ticket_audits', number, secondsOf(context)),
    id: event['id'] ?? null,
    ticket_id: ticketId,
    events: [change, ...comments],
  };
  return visible(context.collection('ticket_audits').insert(audit));
}

function metricsOf(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const metrics = context
    .collection('ticket_metrics')
    .rows()
    .find((row) => String(row['ticket_id']) === idIn(request));
  return metrics === undefined ? notFound() : json({ticket_metric: visible(metrics)});
}

function deleteTicket(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const all = context.collection('tickets');
  const ticket = all.get(idIn(request));
  if (ticket === undefined) return notFound();
  all.delete(all.keyOf(ticket));
  context.collection('deleted_tickets').insert({
    id: ticket['id'] ?? null,
    subject: ticket['subject'] ?? null,
    actor: {id: 7, name: 'Ada'},
    previous_state: ticket['status'] ?? null,
    deleted_at: isoOf(secondsOf(context)),
  });
  return {status: 204};
}

function purgeTicket(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const all = context.collection('deleted_tickets');
  if (all.get(idIn(request)) === undefined) return notFound();
  all.delete(idIn(request));
  return json({job_status: {id: 'job-1', status: 'queued'}});
}
