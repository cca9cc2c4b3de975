import {type DataType, EPOCH_UNIT, fromDdl, type StructType} from '../../sdk/index.ts';

/** A schema from DDL whose timestamps, also those in structs, come as seconds since 1970. */
export function epochSchema(ddl: string): StructType {
  return withEpochs(fromDdl(ddl));
}

function withEpochs({fields}: StructType): StructType {
  return {
    type: 'struct',
    fields: fields.map((field) => ({
      ...field,
      type: nested(field.type),
      metadata: field.type === 'timestamp' ? {...field.metadata, [EPOCH_UNIT]: 's'} : field.metadata,
    })),
  };
}

function nested(type: DataType): DataType {
  return typeof type === 'object' && type.type === 'struct' ? withEpochs(type) : type;
}
