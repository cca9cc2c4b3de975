import type {OptionValue} from './contract.ts';
import type {OptionSpec} from './define-connector.ts';

/** A value in an option's type, or what is wrong with it as the end of the sentence "the option must be …". */
export type ConvertedOption = {readonly value: Exclude<OptionValue, undefined>} | {readonly mustBe: string};

/**
 * Converts what a user wrote to an option's type. Text is taken for numbers, booleans and lists (JSON array, or separated by
 * commas), because environment variables and command lines know nothing else; a number is not taken for text, because
 * its notation is lost (`1.10`). The value itself never becomes part of a message.
 */
export function convertOption(spec: OptionSpec, given: unknown): ConvertedOption {
  switch (spec.type) {
    case 'string':
      return typeof given === 'string'
        ? checkEnum(spec, given)
        : {mustBe: `a text${typeof given === 'number' ? ' (put it in quotes)' : ''}`};
    case 'integer':
    case 'number':
      return convertNumber(spec, given);
    case 'boolean': {
      const word = typeof given === 'string' ? given.trim().toLowerCase() : given;
      if (word === true || word === 'true') return {value: true};
      return word === false || word === 'false' ? {value: false} : {mustBe: 'true or false'};
    }
    case 'string[]':
      return convertList(spec, given);
  }
}

function convertNumber(spec: OptionSpec, given: unknown): ConvertedOption {
  const isInteger = spec.type === 'integer';
  const form = isInteger ? /^\s*[+-]?\d+\s*$/ : /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;
  const value = typeof given === 'string' && form.test(given) ? Number(given) : given;
  const isRight = typeof value === 'number' && (isInteger ? Number.isSafeInteger(value) : Number.isFinite(value));
  if (isRight && value >= (spec.min ?? -Infinity) && value <= (spec.max ?? Infinity)) return {value};
  return {mustBe: `${isInteger ? 'an integer' : 'a number'}${rangeText(spec)}`};
}

function convertList(spec: OptionSpec, given: unknown): ConvertedOption {
  const list = typeof given === 'string' ? listOf(given) : given;
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string')) return {mustBe: 'a list of texts'};
  for (const item of list) {
    const checked = checkEnum(spec, item);
    if ('mustBe' in checked) return {mustBe: `a list of which each is ${checked.mustBe}`};
  }
  return {value: list};
}

function listOf(text: string): unknown {
  const trimmed = text.trim();
  if (!trimmed.startsWith('['))
    return trimmed
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    // Not a JSON array: the caller says what a list looks like.
    return null;
  }
}

function checkEnum(spec: OptionSpec, value: string): ConvertedOption {
  return spec.enum === undefined || spec.enum.includes(value) ? {value} : {mustBe: `one of ${spec.enum.join(', ')}`};
}

function rangeText({min, max}: OptionSpec): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  return max === undefined ? '' : ` of at most ${max}`;
}
