/* tslint:disable */
/* eslint-disable */
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import type { TsoaRoute } from '@tsoa/runtime';
import {  fetchMiddlewares, ExpressTemplateService } from '@tsoa/runtime';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { TokenController } from './../controllers/token.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { StatusController } from './../controllers/status.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { SnapshotController } from './../controllers/snapshot.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { RetrievalController } from './../controllers/retrieval.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { MetricsController } from './../controllers/metrics.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { EventController } from './../controllers/event.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { CloneController } from './../controllers/clone.controller.ts';
// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
import { AuditController } from './../controllers/audit.controller.ts';
import { expressAuthentication } from './../http/auth.ts';
// @ts-ignore - no great way to install types from subpackage
import { iocContainer } from './../ioc.ts';
import type { IocContainer, IocContainerFactory } from '@tsoa/runtime';
import type { Request as ExRequest, Response as ExResponse, RequestHandler, Router } from 'express';

const expressAuthenticationRecasted = expressAuthentication as (req: ExRequest, securityName: string, scopes?: string[], res?: ExResponse) => Promise<any>;


// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

const models: TsoaRoute.Models = {
    "ErrorCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["INVALID_REQUEST"]},{"dataType":"enum","enums":["INVALID_JSON"]},{"dataType":"enum","enums":["BODY_TOO_LARGE"]},{"dataType":"enum","enums":["UNSUPPORTED_MEDIA_TYPE"]},{"dataType":"enum","enums":["UNAUTHORIZED"]},{"dataType":"enum","enums":["FORBIDDEN"]},{"dataType":"enum","enums":["TOO_MANY_ATTEMPTS"]},{"dataType":"enum","enums":["PATH_NOT_FOUND"]},{"dataType":"enum","enums":["METHOD_NOT_ALLOWED"]},{"dataType":"enum","enums":["CLONE_NOT_FOUND"]},{"dataType":"enum","enums":["CLONE_ALREADY_EXISTS"]},{"dataType":"enum","enums":["CLONE_PROTECTED"]},{"dataType":"enum","enums":["CLONE_NOT_READY"]},{"dataType":"enum","enums":["CLONE_LIMIT_REACHED"]},{"dataType":"enum","enums":["SNAPSHOT_NOT_FOUND"]},{"dataType":"enum","enums":["SNAPSHOT_ALREADY_EXISTS"]},{"dataType":"enum","enums":["SNAPSHOT_IN_USE"]},{"dataType":"enum","enums":["SNAPSHOT_PROTECTED"]},{"dataType":"enum","enums":["SNAPSHOT_UNMASKED"]},{"dataType":"enum","enums":["SOURCE_SETTINGS_UNKNOWN"]},{"dataType":"enum","enums":["DATABASE_NOT_FOUND"]},{"dataType":"enum","enums":["USERNAME_NOT_ALLOWED"]},{"dataType":"enum","enums":["IDEMPOTENCY_KEY_REUSED"]},{"dataType":"enum","enums":["NO_SOURCE"]},{"dataType":"enum","enums":["REFRESH_RUNNING"]},{"dataType":"enum","enums":["REFRESH_NOT_RUNNING"]},{"dataType":"enum","enums":["TOKEN_NOT_FOUND"]},{"dataType":"enum","enums":["TOKEN_ALREADY_EXISTS"]},{"dataType":"enum","enums":["NOT_ENOUGH_DISK_SPACE"]},{"dataType":"enum","enums":["TOO_BUSY"]},{"dataType":"enum","enums":["NO_FREE_PORT"]},{"dataType":"enum","enums":["CATALOGUE_UNREADABLE"]},{"dataType":"enum","enums":["STORAGE_UNAVAILABLE"]},{"dataType":"enum","enums":["SHUTTING_DOWN"]},{"dataType":"enum","enums":["INTERNAL_ERROR"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Error": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"ErrorCode","required":true},
            "name": {"dataType":"string","required":true},
            "hint": {"dataType":"string","required":true},
            "detail": {"dataType":"string"},
            "requestId": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Role": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["admin"]},{"dataType":"enum","enums":["member"]},{"dataType":"enum","enums":["viewer"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "TokenStatusCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["ACTIVE"]},{"dataType":"enum","enums":["EXPIRED"]},{"dataType":"enum","enums":["REVOKED"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Token": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "name": {"dataType":"string","required":true},
            "role": {"ref":"Role","required":true},
            "status": {"ref":"TokenStatusCode","required":true},
            "createdAt": {"dataType":"string","required":true},
            "expiresAt": {"dataType":"string","required":true},
            "lastUsedAt": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CreatedToken": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "name": {"dataType":"string","required":true},
            "role": {"ref":"Role","required":true},
            "status": {"ref":"TokenStatusCode","required":true},
            "createdAt": {"dataType":"string","required":true},
            "expiresAt": {"dataType":"string","required":true},
            "lastUsedAt": {"dataType":"string","required":true},
            "token": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CreateTokenRequest": {
        "dataType": "refObject",
        "properties": {
            "name": {"dataType":"string","required":true,"validators":{"pattern":{"errorMsg":"must be 1 to 63 letters, digits, dots, dashes and underscores, and begin with a letter or digit","value":"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"}}},
            "role": {"ref":"Role","required":true},
            "expiresAt": {"dataType":"string","validators":{"maxLength":{"value":40}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "InstanceStatusCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["OK"]},{"dataType":"enum","enums":["WARNING"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "InstanceStatus": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"InstanceStatusCode","required":true},
            "message": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "WarningCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["DISK_SPACE_LOW"]},{"dataType":"enum","enums":["DISK_SPACE_CRITICAL"]},{"dataType":"enum","enums":["INSECURE_CONNECTION"]},{"dataType":"enum","enums":["CATALOGUE_LOST"]},{"dataType":"enum","enums":["POOL_DEGRADED"]},{"dataType":"enum","enums":["NO_SNAPSHOT"]},{"dataType":"enum","enums":["NO_FREE_PORT"]},{"dataType":"enum","enums":["LIMIT_NOT_ENFORCED"]},{"dataType":"enum","enums":["RECONCILE_FAILED"]},{"dataType":"enum","enums":["AUDIT_LOG_FAILED"]},{"dataType":"enum","enums":["DATA_OLD"]},{"dataType":"enum","enums":["RETRIEVAL_FAILED"]},{"dataType":"enum","enums":["UNMASKED_DATA"]},{"dataType":"enum","enums":["STANDBY_NOT_FOLLOWING"]},{"dataType":"enum","enums":["SOURCE_SETTINGS_UNKNOWN"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Warning": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"WarningCode","required":true},
            "message": {"dataType":"string","required":true},
            "hint": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Disk": {
        "dataType": "refObject",
        "properties": {
            "size": {"dataType":"double","required":true},
            "free": {"dataType":"double","required":true},
            "used": {"dataType":"double","required":true},
            "freeing": {"dataType":"double","required":true},
            "updatedAt": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "PassedOverDriver": {
        "dataType": "refObject",
        "properties": {
            "driver": {"dataType":"string","required":true},
            "reason": {"dataType":"string","required":true},
            "hint": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Pool": {
        "dataType": "refObject",
        "properties": {
            "driver": {"dataType":"string","required":true},
            "embedded": {"dataType":"boolean","required":true},
            "compressionRatio": {"dataType":"union","subSchemas":[{"dataType":"double"},{"dataType":"enum","enums":[null]}],"required":true},
            "health": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["OK"]},{"dataType":"enum","enums":["DEGRADED"]},{"dataType":"enum","enums":["FAULTED"]}],"required":true},
            "healthDetail": {"dataType":"string","required":true},
            "cloneSizeIsOwn": {"dataType":"boolean","required":true},
            "passedOver": {"dataType":"array","array":{"dataType":"refObject","ref":"PassedOverDriver"},"required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "WarmInstances": {
        "dataType": "refObject",
        "properties": {
            "ready": {"dataType":"double","required":true},
            "target": {"dataType":"double","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneStatusCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["OK"]},{"dataType":"enum","enums":["CREATING"]},{"dataType":"enum","enums":["RESETTING"]},{"dataType":"enum","enums":["DELETING"]},{"dataType":"enum","enums":["FATAL"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneStatus": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"CloneStatusCode","required":true},
            "message": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneDatabase": {
        "dataType": "refObject",
        "properties": {
            "username": {"dataType":"string","required":true},
            "password": {"dataType":"string","required":true},
            "host": {"dataType":"string","required":true},
            "port": {"dataType":"string","required":true},
            "dbName": {"dataType":"string","required":true},
            "connStr": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneProfile": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["dev"]},{"dataType":"enum","enums":["test"]},{"dataType":"enum","enums":["like-source"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneStepName": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["queue"]},{"dataType":"enum","enums":["volume"]},{"dataType":"enum","enums":["postgres"]},{"dataType":"enum","enums":["user"]},{"dataType":"enum","enums":["login"]},{"dataType":"enum","enums":["handover"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CloneStepTime": {
        "dataType": "refObject",
        "properties": {
            "name": {"ref":"CloneStepName","required":true},
            "seconds": {"dataType":"double","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Clone": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "status": {"ref":"CloneStatus","required":true},
            "project": {"dataType":"string","required":true},
            "snapshot": {"dataType":"string","required":true},
            "db": {"ref":"CloneDatabase","required":true},
            "protected": {"dataType":"boolean","required":true},
            "deleteAt": {"dataType":"string","required":true},
            "name": {"dataType":"string","required":true},
            "username": {"dataType":"string","required":true},
            "createdAt": {"dataType":"string","required":true},
            "cloneSize": {"dataType":"double","required":true},
            "cloningTime": {"dataType":"double","required":true},
            "profile": {"ref":"CloneProfile","required":true},
            "steps": {"dataType":"array","array":{"dataType":"refObject","ref":"CloneStepTime"},"required":true},
            "resetFailedAt": {"dataType":"string","required":true},
            "queuePosition": {"dataType":"double"},
            "diskQuota": {"dataType":"double"},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Snapshot": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "timestamp": {"dataType":"string","required":true},
            "createdAt": {"dataType":"string","required":true},
            "database": {"dataType":"string","required":true},
            "databases": {"dataType":"array","array":{"dataType":"string"},"required":true},
            "postgresVersion": {"dataType":"double","required":true},
            "size": {"dataType":"double","required":true},
            "numClones": {"dataType":"double","required":true},
            "cloneId": {"dataType":"string","required":true},
            "message": {"dataType":"string","required":true},
            "protected": {"dataType":"boolean","required":true},
            "maskVersion": {"dataType":"string","required":true},
            "hasPlanSettings": {"dataType":"boolean","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Instance": {
        "dataType": "refObject",
        "properties": {
            "status": {"ref":"InstanceStatus","required":true},
            "warnings": {"dataType":"array","array":{"dataType":"refObject","ref":"Warning"},"required":true},
            "disk": {"ref":"Disk","required":true},
            "pool": {"ref":"Pool","required":true},
            "expectedCloningTime": {"dataType":"double","required":true},
            "numClones": {"dataType":"double","required":true},
            "warm": {"ref":"WarmInstances","required":true},
            "clones": {"dataType":"array","array":{"dataType":"refObject","ref":"Clone"},"required":true},
            "snapshots": {"dataType":"array","array":{"dataType":"refObject","ref":"Snapshot"},"required":true},
            "version": {"dataType":"string","required":true},
            "startedAt": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Health": {
        "dataType": "refObject",
        "properties": {
            "status": {"dataType":"enum","enums":["OK"],"required":true},
            "version": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CreateSnapshotRequest": {
        "dataType": "refObject",
        "properties": {
            "cloneId": {"dataType":"string","validators":{"minLength":{"value":1},"maxLength":{"value":63}}},
            "id": {"dataType":"string","validators":{"pattern":{"errorMsg":"must be 2 to 63 lower case letters, digits and dashes, without a dash at either end","value":"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$"}}},
            "message": {"dataType":"string","validators":{"maxLength":{"value":500},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "UpdateSnapshotRequest": {
        "dataType": "refObject",
        "properties": {
            "protected": {"dataType":"boolean"},
            "message": {"dataType":"string","validators":{"maxLength":{"value":500},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalStatusCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["OK"]},{"dataType":"enum","enums":["RUNNING"]},{"dataType":"enum","enums":["FAILED"]},{"dataType":"enum","enums":["NOT_CONFIGURED"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalStatus": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"RetrievalStatusCode","required":true},
            "message": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalSource": {
        "dataType": "refObject",
        "properties": {
            "kind": {"dataType":"string","required":true},
            "description": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "StandbyStatusCode": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["FOLLOWING"]},{"dataType":"enum","enums":["BROKEN"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "StandbyStatus": {
        "dataType": "refObject",
        "properties": {
            "code": {"ref":"StandbyStatusCode","required":true},
            "message": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalStandby": {
        "dataType": "refObject",
        "properties": {
            "status": {"ref":"StandbyStatus","required":true},
            "lagSeconds": {"dataType":"double","required":true},
            "lagBytes": {"dataType":"double","required":true},
            "replayedLsn": {"dataType":"string","required":true},
            "caughtUpAt": {"dataType":"string","required":true},
            "updatedAt": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalTrigger": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["START"]},{"dataType":"enum","enums":["SCHEDULE"]},{"dataType":"enum","enums":["REQUEST"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalOutcome": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["RUNNING"]},{"dataType":"enum","enums":["DONE"]},{"dataType":"enum","enums":["FAILED"]},{"dataType":"enum","enums":["CANCELLED"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalStep": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["CHECK"]},{"dataType":"enum","enums":["DUMP"]},{"dataType":"enum","enums":["RESTORE"]},{"dataType":"enum","enums":["COPY"]},{"dataType":"enum","enums":["RECOVER"]},{"dataType":"enum","enums":["MASK"]},{"dataType":"enum","enums":["FINISH"]},{"dataType":"enum","enums":["PUBLISH"]},{"dataType":"enum","enums":["WAIT"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalProgress": {
        "dataType": "refObject",
        "properties": {
            "step": {"ref":"RetrievalStep","required":true},
            "tablesDone": {"dataType":"double","required":true},
            "tablesTotal": {"dataType":"double","required":true},
            "bytesDone": {"dataType":"double","required":true},
            "bytesTotal": {"dataType":"double","required":true},
            "bytesPerSecond": {"dataType":"double","required":true},
            "secondsLeft": {"dataType":"double","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalFailure": {
        "dataType": "refObject",
        "properties": {
            "code": {"dataType":"string","required":true},
            "message": {"dataType":"string","required":true},
            "hint": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalLogEntry": {
        "dataType": "refObject",
        "properties": {
            "at": {"dataType":"string","required":true},
            "level": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["info"]},{"dataType":"enum","enums":["warn"]},{"dataType":"enum","enums":["error"]}],"required":true},
            "message": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "RetrievalRun": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "trigger": {"ref":"RetrievalTrigger","required":true},
            "outcome": {"ref":"RetrievalOutcome","required":true},
            "source": {"dataType":"string","required":true},
            "attempt": {"dataType":"double","required":true},
            "startedAt": {"dataType":"string","required":true},
            "endedAt": {"dataType":"string","required":true},
            "progress": {"ref":"RetrievalProgress","required":true},
            "snapshot": {"dataType":"string","required":true},
            "error": {"ref":"RetrievalFailure"},
            "log": {"dataType":"array","array":{"dataType":"refObject","ref":"RetrievalLogEntry"},"required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "Retrieval": {
        "dataType": "refObject",
        "properties": {
            "status": {"ref":"RetrievalStatus","required":true},
            "sources": {"dataType":"array","array":{"dataType":"refObject","ref":"RetrievalSource"},"required":true},
            "schedule": {"dataType":"string","required":true},
            "timeZone": {"dataType":"string","required":true},
            "nextRunAt": {"dataType":"string","required":true},
            "dataStateAt": {"dataType":"string","required":true},
            "standby": {"ref":"RetrievalStandby"},
            "current": {"ref":"RetrievalRun"},
            "runs": {"dataType":"array","array":{"dataType":"refObject","ref":"RetrievalRun"},"required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "LabEventType": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["clone"]},{"dataType":"enum","enums":["snapshot"]},{"dataType":"enum","enums":["retrieval"]},{"dataType":"enum","enums":["resync"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "LabEventAction": {
        "dataType": "refAlias",
        "type": {"dataType":"union","subSchemas":[{"dataType":"enum","enums":["changed"]},{"dataType":"enum","enums":["deleted"]}],"validators":{}},
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "LabEvent": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","required":true},
            "type": {"ref":"LabEventType","required":true},
            "action": {"ref":"LabEventAction","required":true},
            "at": {"dataType":"string","required":true},
            "subject": {"dataType":"string","required":true},
            "clone": {"ref":"Clone"},
            "snapshot": {"ref":"Snapshot"},
            "retrieval": {"ref":"RetrievalRun"},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CreateCloneDatabase": {
        "dataType": "refObject",
        "properties": {
            "username": {"dataType":"string","required":true,"validators":{"minLength":{"value":1},"maxLength":{"value":63},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "password": {"dataType":"string","required":true,"validators":{"minLength":{"value":1},"maxLength":{"value":1000},"pattern":{"errorMsg":"must not hold a zero byte","value":"^[^\\x00]*$"}}},
            "dbName": {"dataType":"string","validators":{"minLength":{"value":1},"maxLength":{"value":63}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "CreateCloneRequest": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"string","validators":{"pattern":{"errorMsg":"must be 2 to 63 lower case letters, digits and dashes, without a dash at either end","value":"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$"}}},
            "project": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "snapshot": {"dataType":"string","validators":{"maxLength":{"value":200}}},
            "db": {"ref":"CreateCloneDatabase","required":true},
            "username": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "name": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "protected": {"dataType":"boolean"},
            "profile": {"ref":"CloneProfile"},
            "deleteAt": {"dataType":"string","validators":{"maxLength":{"value":40}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "UpdateCloneRequest": {
        "dataType": "refObject",
        "properties": {
            "name": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "project": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "username": {"dataType":"string","validators":{"maxLength":{"value":200},"pattern":{"errorMsg":"must not hold control characters","value":"^[^\\x00-\\x1f\\x7f]*$"}}},
            "protected": {"dataType":"boolean"},
            "deleteAt": {"dataType":"union","subSchemas":[{"dataType":"string"},{"dataType":"enum","enums":[null]}],"validators":{"maxLength":{"value":40}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "ResetCloneRequest": {
        "dataType": "refObject",
        "properties": {
            "snapshot": {"dataType":"string","validators":{"maxLength":{"value":200}}},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
    "AuditEntry": {
        "dataType": "refObject",
        "properties": {
            "id": {"dataType":"double","required":true},
            "at": {"dataType":"string","required":true},
            "tokenId": {"dataType":"string","required":true},
            "tokenName": {"dataType":"string","required":true},
            "operation": {"dataType":"string","required":true},
            "clone": {"dataType":"string","required":true},
            "snapshot": {"dataType":"string","required":true},
            "token": {"dataType":"string","required":true},
            "address": {"dataType":"string","required":true},
            "status": {"dataType":"double","required":true},
            "errorCode": {"dataType":"string","required":true},
            "reason": {"dataType":"string","required":true},
            "requestId": {"dataType":"string","required":true},
        },
        "additionalProperties": false,
    },
    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
};
const templateService = new ExpressTemplateService(models, {"noImplicitAdditionalProperties":"throw-on-extras","bodyCoercion":false});

// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa




export function RegisterRoutes(app: Router) {

    // ###########################################################################################################
    //  NOTE: If you do not see routes for all of your controllers in this file, then you might not have informed tsoa of where to look
    //      Please look into the "controllerPathGlobs" config option described in the readme: https://github.com/lukeautry/tsoa
    // ###########################################################################################################


    
        const argsTokenController_list: Record<string, TsoaRoute.ParameterSchema> = {
        };
        app.get('/tokens',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(TokenController)),
            ...(fetchMiddlewares<RequestHandler>(TokenController.prototype.list)),

            async function TokenController_list(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsTokenController_list, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<TokenController>(TokenController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'list',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsTokenController_create: Record<string, TsoaRoute.ParameterSchema> = {
                body: {"in":"body","name":"body","required":true,"ref":"CreateTokenRequest"},
        };
        app.post('/token',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(TokenController)),
            ...(fetchMiddlewares<RequestHandler>(TokenController.prototype.create)),

            async function TokenController_create(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsTokenController_create, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<TokenController>(TokenController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'create',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 201,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsTokenController_delete: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
        };
        app.delete('/token/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(TokenController)),
            ...(fetchMiddlewares<RequestHandler>(TokenController.prototype.delete)),

            async function TokenController_delete(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsTokenController_delete, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<TokenController>(TokenController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'delete',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 204,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsStatusController_status: Record<string, TsoaRoute.ParameterSchema> = {
                _ifNoneMatch: {"in":"header","name":"If-None-Match","dataType":"string"},
        };
        app.get('/status',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(StatusController)),
            ...(fetchMiddlewares<RequestHandler>(StatusController.prototype.status)),

            async function StatusController_status(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsStatusController_status, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<StatusController>(StatusController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'status',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsStatusController_health: Record<string, TsoaRoute.ParameterSchema> = {
        };
        app.get('/healthz',
            ...(fetchMiddlewares<RequestHandler>(StatusController)),
            ...(fetchMiddlewares<RequestHandler>(StatusController.prototype.health)),

            async function StatusController_health(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsStatusController_health, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<StatusController>(StatusController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'health',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsSnapshotController_list: Record<string, TsoaRoute.ParameterSchema> = {
                _ifNoneMatch: {"in":"header","name":"If-None-Match","dataType":"string"},
        };
        app.get('/snapshots',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController)),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController.prototype.list)),

            async function SnapshotController_list(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsSnapshotController_list, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<SnapshotController>(SnapshotController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'list',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsSnapshotController_create: Record<string, TsoaRoute.ParameterSchema> = {
                body: {"in":"body","name":"body","ref":"CreateSnapshotRequest"},
        };
        app.post('/snapshot',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController)),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController.prototype.create)),

            async function SnapshotController_create(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsSnapshotController_create, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<SnapshotController>(SnapshotController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'create',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 201,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsSnapshotController_update: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
                body: {"in":"body","name":"body","required":true,"ref":"UpdateSnapshotRequest"},
        };
        app.patch('/snapshot/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController)),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController.prototype.update)),

            async function SnapshotController_update(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsSnapshotController_update, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<SnapshotController>(SnapshotController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'update',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsSnapshotController_delete: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
        };
        app.delete('/snapshot/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController)),
            ...(fetchMiddlewares<RequestHandler>(SnapshotController.prototype.delete)),

            async function SnapshotController_delete(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsSnapshotController_delete, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<SnapshotController>(SnapshotController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'delete',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 204,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsRetrievalController_get: Record<string, TsoaRoute.ParameterSchema> = {
                _ifNoneMatch: {"in":"header","name":"If-None-Match","dataType":"string"},
        };
        app.get('/retrieval',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController)),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController.prototype.get)),

            async function RetrievalController_get(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsRetrievalController_get, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<RetrievalController>(RetrievalController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'get',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsRetrievalController_refresh: Record<string, TsoaRoute.ParameterSchema> = {
        };
        app.post('/refresh',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController)),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController.prototype.refresh)),

            async function RetrievalController_refresh(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsRetrievalController_refresh, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<RetrievalController>(RetrievalController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'refresh',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 202,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsRetrievalController_cancel: Record<string, TsoaRoute.ParameterSchema> = {
        };
        app.delete('/refresh',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController)),
            ...(fetchMiddlewares<RequestHandler>(RetrievalController.prototype.cancel)),

            async function RetrievalController_cancel(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsRetrievalController_cancel, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<RetrievalController>(RetrievalController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'cancel',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsMetricsController_read: Record<string, TsoaRoute.ParameterSchema> = {
        };
        app.get('/metrics',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(MetricsController)),
            ...(fetchMiddlewares<RequestHandler>(MetricsController.prototype.read)),

            async function MetricsController_read(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsMetricsController_read, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<MetricsController>(MetricsController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'read',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsEventController_watch: Record<string, TsoaRoute.ParameterSchema> = {
                request: {"in":"request","name":"request","required":true,"dataType":"object"},
                types: {"in":"query","name":"types","dataType":"string","validators":{"pattern":{"errorMsg":"must be a list of clone, snapshot and retrieval","value":"^(clone|snapshot|retrieval)(,(clone|snapshot|retrieval)){0,2}$"}}},
                clone: {"in":"query","name":"clone","dataType":"string","validators":{"maxLength":{"value":63}}},
                lastEventId: {"in":"header","name":"Last-Event-ID","dataType":"string"},
        };
        app.get('/events',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(EventController)),
            ...(fetchMiddlewares<RequestHandler>(EventController.prototype.watch)),

            async function EventController_watch(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsEventController_watch, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<EventController>(EventController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'watch',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_create: Record<string, TsoaRoute.ParameterSchema> = {
                body: {"in":"body","name":"body","required":true,"ref":"CreateCloneRequest"},
                request: {"in":"request","name":"request","required":true,"dataType":"object"},
                wait: {"in":"query","name":"wait","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":0},"maximum":{"value":600}}},
                idempotencyKey: {"in":"header","name":"Idempotency-Key","dataType":"string","validators":{"minLength":{"value":1},"maxLength":{"value":200}}},
        };
        app.post('/clone',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.create)),

            async function CloneController_create(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_create, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'create',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 201,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_list: Record<string, TsoaRoute.ParameterSchema> = {
                project: {"in":"query","name":"project","dataType":"string"},
                username: {"in":"query","name":"username","dataType":"string"},
                status: {"in":"query","name":"status","ref":"CloneStatusCode"},
                limit: {"in":"query","name":"limit","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":1},"maximum":{"value":1000}}},
                after: {"in":"query","name":"after","dataType":"string","validators":{"maxLength":{"value":200}}},
                _ifNoneMatch: {"in":"header","name":"If-None-Match","dataType":"string"},
        };
        app.get('/clones',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.list)),

            async function CloneController_list(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_list, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'list',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_get: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
                request: {"in":"request","name":"request","required":true,"dataType":"object"},
                wait: {"in":"query","name":"wait","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":0},"maximum":{"value":600}}},
                _ifNoneMatch: {"in":"header","name":"If-None-Match","dataType":"string"},
        };
        app.get('/clone/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.get)),

            async function CloneController_get(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_get, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'get',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 200,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_update: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
                body: {"in":"body","name":"body","required":true,"ref":"UpdateCloneRequest"},
        };
        app.patch('/clone/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.update)),

            async function CloneController_update(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_update, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'update',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_reset: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
                request: {"in":"request","name":"request","required":true,"dataType":"object"},
                body: {"in":"body","name":"body","ref":"ResetCloneRequest"},
                wait: {"in":"query","name":"wait","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":0},"maximum":{"value":600}}},
        };
        app.post('/clone/:id/reset',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.reset)),

            async function CloneController_reset(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_reset, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'reset',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 202,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsCloneController_delete: Record<string, TsoaRoute.ParameterSchema> = {
                id: {"in":"path","name":"id","required":true,"dataType":"string"},
        };
        app.delete('/clone/:id',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(CloneController)),
            ...(fetchMiddlewares<RequestHandler>(CloneController.prototype.delete)),

            async function CloneController_delete(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsCloneController_delete, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<CloneController>(CloneController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'delete',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: 202,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        const argsAuditController_list: Record<string, TsoaRoute.ParameterSchema> = {
                limit: {"default":100,"in":"query","name":"limit","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":1},"maximum":{"value":1000}}},
                before: {"in":"query","name":"before","dataType":"integer","validators":{"isInt":{"errorMsg":"must be a whole number"},"minimum":{"value":1}}},
                clone: {"in":"query","name":"clone","dataType":"string","validators":{"maxLength":{"value":63}}},
                tokenName: {"in":"query","name":"tokenName","dataType":"string","validators":{"maxLength":{"value":63}}},
                operation: {"in":"query","name":"operation","dataType":"string","validators":{"maxLength":{"value":63}}},
        };
        app.get('/audit',
            authenticateMiddleware([{"bearer":[]},{"verificationToken":[]}]),
            ...(fetchMiddlewares<RequestHandler>(AuditController)),
            ...(fetchMiddlewares<RequestHandler>(AuditController.prototype.list)),

            async function AuditController_list(request: ExRequest, response: ExResponse, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            let validatedArgs: any[] = [];
            try {
                validatedArgs = templateService.getValidatedArgs({ args: argsAuditController_list, request, response });

                const container: IocContainer = typeof iocContainer === 'function' ? (iocContainer as IocContainerFactory)(request) : iocContainer;

                const controller: any = await container.get<AuditController>(AuditController);
                if (typeof controller['setStatus'] === 'function') {
                controller.setStatus(undefined);
                }

              await templateService.apiHandler({
                methodName: 'list',
                controller,
                response,
                next,
                validatedArgs,
                successStatus: undefined,
              });
            } catch (err) {
                return next(err);
            }
        });
        // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa


    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

    function authenticateMiddleware(security: TsoaRoute.Security[] = []) {
        return async function runAuthenticationMiddleware(request: any, response: any, next: any) {

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            // keep track of failed auth attempts so we can hand back the most
            // recent one.  This behavior was previously existing so preserving it
            // here
            const failedAttempts: any[] = [];
            const pushAndRethrow = (error: any) => {
                failedAttempts.push(error);
                throw error;
            };

            const secMethodOrPromises: Promise<any>[] = [];
            for (const secMethod of security) {
                if (Object.keys(secMethod).length > 1) {
                    const secMethodAndPromises: Promise<any>[] = [];

                    for (const name in secMethod) {
                        secMethodAndPromises.push(
                            expressAuthenticationRecasted(request, name, secMethod[name], response)
                                .catch(pushAndRethrow)
                        );
                    }

                    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

                    secMethodOrPromises.push(Promise.all(secMethodAndPromises)
                        .then(users => { return users[0]; }));
                } else {
                    for (const name in secMethod) {
                        secMethodOrPromises.push(
                            expressAuthenticationRecasted(request, name, secMethod[name], response)
                                .catch(pushAndRethrow)
                        );
                    }
                }
            }

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa

            try {
                request['user'] = await Promise.any(secMethodOrPromises);

                // Response was sent in middleware, abort
                if (response.writableEnded) {
                    return;
                }

                next();
            }
            catch(err) {
                // Show most recent error as response
                const error = failedAttempts.pop();
                error.status = error.status || 401;

                // Response was sent in middleware, abort
                if (response.writableEnded) {
                    return;
                }
                next(error);
            }

            // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
        }
    }

    // WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
}

// WARNING: This file was auto-generated with tsoa. Please do not modify it. Re-run tsoa to re-generate this file: https://github.com/lukeautry/tsoa
