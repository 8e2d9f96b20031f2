// OperatorKit
