crate::cases! { "step"; "nothing" => || crate::check!(true); }
